// SPDX-License-Identifier: Apache-2.0

package bpffs

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/internal/testutil"
)

// alone runs the test in a process with mounts of its own, and reports what it says there. It is true in
// that process.
func alone(t *testing.T) bool {
	t.Helper()
	testutil.Root(t)
	const inside = "MIZAR_TEST_ALONE"
	if os.Getenv(inside) == t.Name() {
		return true
	}
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), inside+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "--- PASS: "+t.Name())
	return false
}

// mounts are the mounts at a path, one over the other.
func mounts(t *testing.T, path string) (n int) {
	t.Helper()
	for unix.Unmount(path, 0) == nil {
		n++
	}
	return n
}

func TestEnsure(t *testing.T) {
	if !alone(t) {
		return
	}
	path := filepath.Join(t.TempDir(), "bpf")
	require.NoError(t, Ensure(path))
	require.NoError(t, Check(path))
	require.NoError(t, Owned(path))
	require.NoError(t, Ensure(path), "again")
	require.Equal(t, 1, mounts(t, path))
	require.ErrorIs(t, Check(path), ErrNotMounted)

	var all sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		all.Go(func() { errs[i] = Ensure(path) })
	}
	all.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	require.Equal(t, 1, mounts(t, path), "mounted once, not over one another")
}

func TestEnsureFails(t *testing.T) {
	if !alone(t) {
		return
	}
	dir := t.TempDir()
	require.ErrorIs(t, Ensure(filepath.Join(dir, "no", "parent")), os.ErrNotExist)

	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.Error(t, Ensure(file))

	full := filepath.Join(dir, "ro")
	require.NoError(t, os.Mkdir(full, 0o700))
	require.NoError(t, unix.Mount("tmpfs", full, "tmpfs", unix.MS_RDONLY, ""))
	err := Ensure(filepath.Join(full, "bpf"))
	require.ErrorIs(t, err, ErrReadOnly)
	require.NoError(t, unix.Unmount(full, 0))

	require.NoError(t, unix.Mount("bpf", full, "bpf", unix.MS_RDONLY, ""))
	require.ErrorIs(t, Ensure(full), ErrReadOnly, "a bpffs that nothing can be pinned to")
	require.NoError(t, unix.Unmount(full, 0))

	// Without the capability, and with a mount point made for it: that one goes again.
	missing := filepath.Join(dir, "missing")
	testutil.Without(t, unix.CAP_SYS_ADMIN, func() { err = Ensure(missing) })
	require.ErrorIs(t, err, os.ErrPermission)
	require.ErrorContains(t, err, "CAP_SYS_ADMIN")
	require.NoDirExists(t, missing)
}

// As ip netns exec does it: a sysfs of the namespace's name, for this process only.
func TestEnsurePrivate(t *testing.T) {
	if !alone(t) {
		return
	}
	names := t.TempDir()
	ensure := func() error { return ensure("/sys/fs/bpf", "/proc/thread-self/mountinfo", names) }
	require.NoError(t, os.WriteFile(filepath.Join(names, "blue"), nil, 0o600))
	require.NoError(t, unix.Unmount("/sys", unix.MNT_DETACH))
	require.NoError(t, unix.Mount("blue", "/sys", "sysfs", 0, ""))
	err := ensure()
	require.ErrorIs(t, err, ErrPrivate)
	require.ErrorContains(t, err, "nsenter --net="+names+"/blue")
	require.ErrorIs(t, Check("/sys/fs/bpf"), ErrNotMounted)

	elsewhere := filepath.Join(t.TempDir(), "bpf")
	require.NoError(t, Ensure(elsewhere), "another place is no worse than ever")
	require.NoError(t, unix.Unmount(elsewhere, 0))

	// Whoever mounted one there knew what he did.
	require.NoError(t, unix.Mount("bpf", "/sys/fs/bpf", "bpf", 0, ""))
	require.NoError(t, ensure())
	require.NoError(t, unix.Unmount("/sys/fs/bpf", 0))

	// The usual /sys, also where it is private, in a container.
	require.NoError(t, unix.Unmount("/sys", unix.MNT_DETACH))
	require.NoError(t, unix.Mount("sysfs", "/sys", "sysfs", 0, ""))
	require.NoError(t, ensure())
	require.Equal(t, 1, mounts(t, "/sys/fs/bpf"))
}
