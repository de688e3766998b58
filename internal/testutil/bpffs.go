// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// bpffsPrefix begins the names of mount points. The number of the process follows, so that a leaked one is
// known as its own, and one that it was killed over as nobody's.
const bpffsPrefix = "mizar-bpffs-"

// BPFFS mounts a bpffs of the test's own, and returns where. What is pinned there ends with the test.
func BPFFS(t testing.TB) string {
	t.Helper()
	Root(t)
	dir, err := os.MkdirTemp("", fmt.Sprintf("%s%d-*", bpffsPrefix, os.Getpid()))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.Remove(dir)) })
	require.NoError(t, unix.Mount("bpf", dir, "bpf", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0700"))
	t.Cleanup(func() {
		// Busy for good where somebody holds a file or a lock there.
		Eventually(t, 5*time.Second, func() error { return unix.Unmount(dir, 0) })
	})
	return dir
}

// mounted finds the mount points of [BPFFS], each with the process that made it.
func mounted() (map[string]int, error) {
	all, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	pids := make(map[string]int)
	for line := range strings.Lines(string(all)) {
		fields := strings.Fields(line)
		if len(fields) < 5 || filepath.Dir(fields[4]) != filepath.Clean(os.TempDir()) {
			continue
		}
		rest, ours := strings.CutPrefix(filepath.Base(fields[4]), bpffsPrefix)
		number, _, _ := strings.Cut(rest, "-")
		if pid, err := strconv.Atoi(number); ours && err == nil && pid > 0 {
			pids[fields[4]] = pid
		}
	}
	return pids, nil
}

// sweep unmounts what processes that were killed left mounted. Another test's process may be at the same:
// what goes wrong is not said.
func sweep() {
	all, err := mounted()
	if err != nil {
		return
	}
	for dir, pid := range all {
		if !errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
			continue
		}
		if unix.Unmount(dir, 0) == nil {
			_ = os.Remove(dir)
		}
	}
}
