// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// needed are the capabilities that tests on the kernel use.
var needed = []struct {
	bit  int
	name string
}{
	{unix.CAP_SYS_ADMIN, "CAP_SYS_ADMIN"},
	{unix.CAP_NET_ADMIN, "CAP_NET_ADMIN"},
	{unix.CAP_NET_RAW, "CAP_NET_RAW"},
	{unix.CAP_BPF, "CAP_BPF"},
}

// Root skips a test that lacks privileges, and says which. Under CI=true there is no excuse: it fails.
func Root(t testing.TB) {
	t.Helper()
	missing, err := lacking()
	if err != nil {
		t.Fatalf("read capabilities: %v", err)
	}
	if len(missing) == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("CI has to run this as root: it lacks %s", strings.Join(missing, ", "))
	}
	t.Skipf("run it as root: it lacks %s", strings.Join(missing, ", "))
}

// lacking names the needed capabilities that the process does not have.
func lacking() ([]string, error) {
	var data [2]unix.CapUserData
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if err := unix.Capget(&header, &data[0]); err != nil {
		return nil, err
	}
	var missing []string
	for _, c := range needed {
		if data[c.bit/32].Effective>>(c.bit%32)&1 == 0 {
			missing = append(missing, c.name)
		}
	}
	return missing, nil
}

// Without runs f on a thread that lacks a capability (unix.CAP_NET_ADMIN …), as a process would that
// never had it. What f does in other goroutines, or by netns.Handle.Do in another namespace, has it.
func Without(t testing.TB, capability int, f func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var before [2]unix.CapUserData
	require.NoError(t, unix.Capget(&header, &before[0]))
	less := before
	less[capability/32].Effective &^= 1 << (capability % 32)
	require.NoError(t, unix.Capset(&header, &less[0]))
	defer func() { require.NoError(t, unix.Capset(&header, &before[0])) }()
	f()
}
