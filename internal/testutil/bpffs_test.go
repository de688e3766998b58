// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

const victimEnv = "MIZAR_TEST_VICTIM"

// TestSweep: what a killed process left mounted goes, what a living one has mounted stays.
func TestSweep(t *testing.T) {
	dir := BPFFS(t)
	if os.Getenv(victimEnv) != "" {
		require.NoError(t, unix.Kill(os.Getpid(), unix.SIGKILL))
	}
	victim := exec.Command(os.Args[0], "-test.run=^TestSweep$")
	victim.Env = append(os.Environ(), victimEnv+"=1")
	require.ErrorContains(t, victim.Run(), "killed")
	all, err := mounted()
	require.NoError(t, err)
	require.Equal(t, os.Getpid(), all[dir])
	var left string
	for at, pid := range all {
		if pid == victim.Process.Pid {
			left = at
		}
	}
	require.NotEmpty(t, left)

	sweep()
	all, err = mounted()
	require.NoError(t, err)
	require.Contains(t, all, dir)
	require.NotContains(t, all, left)
	require.NoDirExists(t, left)
}
