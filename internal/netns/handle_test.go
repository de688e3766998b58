// SPDX-License-Identifier: Apache-2.0

package netns_test

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/testutil"
)

func same(t *testing.T, a, b *netns.Handle) bool {
	t.Helper()
	is, err := a.Same(b)
	require.NoError(t, err)
	return is
}

func current(t *testing.T) *netns.Handle {
	t.Helper()
	h, err := netns.Current()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, h.Close()) })
	return h
}

func TestCurrent(t *testing.T) {
	a, b := current(t), current(t)
	require.True(t, same(t, a, b))
	require.NotEqual(t, a.FD(), b.FD())
}

func TestFromFD(t *testing.T) {
	ns := testutil.NewNS(t)
	h, err := netns.FromFD(ns.FD())
	require.NoError(t, err)
	require.True(t, same(t, h, ns))
	require.NoError(t, h.Close())
	_, err = ns.Cookie()
	require.NoError(t, err, "the caller's descriptor is still open")

	_, err = netns.FromFD(-1)
	require.ErrorIs(t, err, unix.EBADF)
}

// waitEnv makes the test binary a process that waits for the end of its standard input.
const waitEnv = "MIZAR_TEST_WAIT"

func wait() {
	_, _ = os.Stdout.WriteString("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func TestFromPID(t *testing.T) {
	testutil.Root(t)
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), waitEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	_, err = io.ReadFull(out, make([]byte, len("ready")))
	require.NoError(t, err)

	theirs, err := netns.FromPID(cmd.Process.Pid)
	require.NoError(t, err)
	defer theirs.Close()
	require.False(t, same(t, theirs, current(t)))
	ours, err := netns.FromPID(os.Getpid())
	require.NoError(t, err)
	defer ours.Close()
	require.True(t, same(t, ours, current(t)))

	require.NoError(t, in.Close())
	require.NoError(t, cmd.Wait())
	_, err = theirs.Cookie()
	require.NoError(t, err, "the handle outlives the process")

	_, err = netns.FromPID(cmd.Process.Pid)
	require.ErrorIs(t, err, os.ErrNotExist)
	for _, pid := range []int{0, -1} {
		_, err = netns.FromPID(pid)
		require.ErrorIs(t, err, unix.ESRCH)
	}
}

func TestFromPath(t *testing.T) {
	dir := t.TempDir()
	_, err := netns.FromPath(filepath.Join(dir, "none"))
	require.ErrorIs(t, err, os.ErrNotExist)

	file, pipe := filepath.Join(dir, "file"), filepath.Join(dir, "pipe")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.NoError(t, unix.Mkfifo(pipe, 0o600)) // opening it would wait for a writer
	for _, path := range []string{file, pipe, dir, "/proc/self/ns/mnt", "/dev/null"} {
		_, err := netns.FromPath(path)
		require.ErrorIs(t, err, netns.ErrNotNetNS, path)
		require.ErrorContains(t, err, path)
	}
}

func TestClose(t *testing.T) {
	ns := testutil.NewNS(t)
	h, err := netns.FromFD(ns.FD())
	require.NoError(t, err)
	require.NoError(t, h.Close())
	require.NoError(t, h.Close())
	require.Equal(t, -1, h.FD())
	ran := false
	require.ErrorIs(t, h.Do(func() error { ran = true; return nil }), netns.ErrClosed)
	require.False(t, ran)
	_, err = h.Cookie()
	require.ErrorIs(t, err, netns.ErrClosed)
	_, err = h.Same(ns)
	require.ErrorIs(t, err, netns.ErrClosed)
	_, err = ns.Same(h)
	require.ErrorIs(t, err, netns.ErrClosed)
}

func TestCookie(t *testing.T) {
	seen := make(map[uint64]bool)
	for _, ns := range []*netns.Handle{current(t), testutil.NewNS(t), testutil.NewNS(t)} {
		cookie, err := ns.Cookie()
		require.NoError(t, err)
		require.NotZero(t, cookie)
		require.False(t, seen[cookie])
		seen[cookie] = true
		again, err := ns.Cookie()
		require.NoError(t, err)
		require.Equal(t, cookie, again)
	}
}
