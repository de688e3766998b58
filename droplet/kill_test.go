// SPDX-License-Identifier: Apache-2.0

package droplet

import (
	"bufio"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/testutil"
)

// childDir tells the test program to be the process that gets killed, with the pins where it says.
const childDir = "MIZAR_TEST_DROPLET_CHILD"

// child attaches up0 in the namespace of descriptor 3, says so, and waits to be killed.
func child(dir string) int {
	err := func() error {
		ns, err := netns.FromFD(3)
		if err != nil {
			return err
		}
		p, _, err := openPlane(dir, ns, "blue")
		if err != nil {
			return err
		}
		if _, err := p.Attach(context.Background(), Config{Interface: "up0", Mode: Native}); err != nil {
			return err
		}
		if _, err := p.SetupFIB(context.Background()); err != nil {
			return err
		}
		fmt.Println("attached")
		_, err = os.Stdin.Read(make([]byte, 1)) // for good, or until the parent is gone
		return err
	}()
	fmt.Fprintln(os.Stderr, "child:", err)
	return 1
}

func TestKilledProcess(t *testing.T) {
	p, far := newHost(t)
	before := p.snapshot(t)
	file := os.NewFile(uintptr(dup(t, p.ns)), "netns")
	defer file.Close()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), childDir+"="+p.dir)
	cmd.ExtraFiles = []*os.File{file}
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(stdout).ReadString('\n')
	killed := cmd.Process.Kill()
	waited := cmd.Wait()
	require.NoError(t, err)
	require.Equal(t, "attached\n", line)
	require.NoError(t, killed)
	require.ErrorContains(t, waited, "killed")

	r := testutil.Ping(t, far, netip.Addr{}, netip.MustParseAddr("192.0.2.1"), 1, time.Second)
	require.Zero(t, r.Lost)
	xdp, tcx := attached(t, p.ns, "up0")
	require.Equal(t, uint32(1), xdp)
	require.Equal(t, 1, tcx)
	q := p.again(t)
	all := q.list(t)
	require.Len(t, all, 1)
	require.Equal(t, Native, all[0].Mode)
	require.False(t, all[0].Partial || all[0].Gone)
	q.detach(t)
	require.NoError(t, q.RemoveFIB(t.Context()))
	require.Equal(t, before, q.snapshot(t))
}

// dup is a descriptor of the namespace for the child.
func dup(t *testing.T, ns *netns.Handle) int {
	t.Helper()
	fd, err := unix.FcntlInt(uintptr(ns.FD()), unix.F_DUPFD_CLOEXEC, 0)
	require.NoError(t, err)
	return fd
}
