// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// memory is how much the daemon has had at most since forgetMemory, in MiB.
func (n *node) memory(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.pid))
	require.NoError(t, err)
	for line := range bytes.Lines(status) {
		var kib int
		if found, _ := fmt.Sscanf(string(line), "VmHWM: %d kB", &kib); found == 1 {
			return kib >> 10
		}
	}
	t.Fatal("the kernel does not tell how much memory the daemon has")
	return 0
}

func (n *node) forgetMemory(t *testing.T) {
	t.Helper()
	require.NoError(t, os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", n.pid), []byte("5"), 0))
}

// cpu is how much of the processors' time the daemon has taken so far.
func (n *node) cpu(t *testing.T) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n.pid))
	require.NoError(t, err)
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]) // the name may have blanks
	var ticks int64
	for _, f := range fields[11:13] { // utime and stime
		n, err := strconv.ParseInt(string(f), 10, 64)
		require.NoError(t, err)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond // USER_HZ is 100 everywhere
}
