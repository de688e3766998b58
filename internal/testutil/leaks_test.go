// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// leaks takes something, sees that it is missed, gives it back, and sees that it is not.
func leaks(t *testing.T, what string, take func() (give func())) {
	t.Helper()
	before, err := holdings()
	require.NoError(t, err)
	give := take()
	err = before.compare(0)
	require.ErrorContains(t, err, what)
	give()
	require.NoError(t, before.compare(leakTimeout))
}

func TestLeaks(t *testing.T) {
	Root(t)
	leaks(t, "1 × descriptor of /proc/", func() func() {
		f, err := os.Open("/proc/self/stat")
		require.NoError(t, err)
		return func() { require.NoError(t, f.Close()) }
	})
	leaks(t, "1 × descriptor of socket", func() func() {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
		require.NoError(t, err)
		return func() { require.NoError(t, unix.Close(fd)) }
	})
	leaks(t, "goroutine of github.com/mizar-go/mizar/internal/testutil.waiting", func() func() {
		end, started := make(chan struct{}), make(chan struct{})
		go waiting(started, end)
		<-started
		return func() { close(end) }
	})
	leaks(t, "thread in another network namespace", func() func() {
		end, started := make(chan struct{}), make(chan error)
		go elsewhere(started, end)
		require.NoError(t, <-started)
		return func() { close(end) }
	})
	leaks(t, "child process", func() func() {
		self, err := os.Executable()
		require.NoError(t, err)
		cmd := exec.Command(self, "-test.run=^$")
		require.NoError(t, cmd.Start())
		return func() { require.NoError(t, cmd.Wait()) }
	})
	leaks(t, "mount at /", func() func() {
		dir, err := os.MkdirTemp("", fmt.Sprintf("%s%d-*", bpffsPrefix, os.Getpid()))
		require.NoError(t, err)
		require.NoError(t, unix.Mount("bpf", dir, "bpf", 0, ""))
		return func() {
			require.NoError(t, unix.Unmount(dir, 0))
			require.NoError(t, os.Remove(dir))
		}
	})
	// In the namespace that it looks into, which is not this one for once.
	In(t, NewNS(t), func() error {
		leaks(t, "1 × interface mzleak", func() func() {
			attrs := netlink.NewLinkAttrs()
			attrs.Name = "mzleak"
			bridge := &netlink.Bridge{LinkAttrs: attrs}
			require.NoError(t, netlink.LinkAdd(bridge))
			return func() { require.NoError(t, netlink.LinkDel(bridge)) }
		})
		return nil
	})
}

func waiting(started chan<- struct{}, end <-chan struct{}) {
	close(started)
	<-end
}

// elsewhere goes to another network namespace and back.
func elsewhere(started chan<- error, end <-chan struct{}) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err == nil {
		defer home.Close()
		err = unix.Unshare(unix.CLONE_NEWNET)
	}
	started <- err
	<-end
	if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) != nil {
		runtime.LockOSThread() // never to be used again
	}
}

// What ends a little later is no leak.
func TestLeaksWait(t *testing.T) {
	before, err := holdings()
	require.NoError(t, err)
	end, started := make(chan struct{}), make(chan struct{})
	go waiting(started, end)
	<-started
	time.AfterFunc(20*time.Millisecond, func() { close(end) })
	require.NoError(t, before.compare(leakTimeout))
}

func TestStarted(t *testing.T) {
	for stack, want := range map[string]string{
		"goroutine 7 [running]:\nmain.f(0x1, 0x2)\n\t/f.go:1\nnet/http.(*Server).Serve(0xc0, {0x1})\n\t/s.go:2\ncreated by main.g in goroutine 1\n\t/g.go:3": "net/http.(*Server).Serve",
		"goroutine 8 [chan receive]:\ntesting.(*T).Run(0xc0)\n\t/t.go:1\nmain.main()\n\t/m.go:1":                                                             "",
		"goroutine 9 [select]:\na.b.func1()\n\t/a.go:1\ncreated by a.b in goroutine 7\n\t/a.go:2":                                                            "a.b.func1",
		"goroutine 9 [select]:": "",
	} {
		require.Equal(t, want, started(stack))
	}
}

// failing is a test that notes that it failed.
type failing struct {
	testing.TB
	ended  []func()
	failed bool
}

func (f *failing) Helper()               {}
func (f *failing) Cleanup(g func())      { f.ended = append(f.ended, g) }
func (f *failing) Errorf(string, ...any) { f.failed = true }

func TestNoFiles(t *testing.T) {
	dir := t.TempDir()
	for _, left := range []bool{false, true} {
		f := &failing{TB: t}
		NoFiles(f, filepath.Join(dir, "mine-*"))
		if left {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "mine-1"), nil, 0o600))
		}
		for _, end := range f.ended {
			end()
		}
		require.Equal(t, left, f.failed)
	}
}
