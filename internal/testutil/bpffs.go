// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// BPFFS mounts a bpffs of the test's own, and returns where. What is pinned there ends with the test.
func BPFFS(t testing.TB) string {
	t.Helper()
	Root(t)
	dir, err := os.MkdirTemp("", bpffsPattern())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.Remove(dir)) })
	require.NoError(t, unix.Mount("bpf", dir, "bpf", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0700"))
	t.Cleanup(func() {
		// Busy for good where somebody holds a file or a lock there.
		Eventually(t, 5*time.Second, func() error { return unix.Unmount(dir, 0) })
	})
	return dir
}

// bpffsPattern names the mount points of this process, so that a leaked one is known as its own.
func bpffsPattern() string {
	return fmt.Sprintf("mizar-bpffs-%d-*", os.Getpid())
}
