// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"github.com/mizar-go/mizar/internal/netns"
)

// NewNS makes a network namespace without a name, with lo up. It ends with the test.
func NewNS(t testing.TB) *netns.Handle {
	t.Helper()
	Root(t)
	ns, err := netns.New()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, ns.Close()) })
	Up(t, ns, "lo")
	return ns
}

// In runs f in a namespace. Its failure is the test's.
func In(t testing.TB, ns *netns.Handle, f func() error) {
	t.Helper()
	require.NoError(t, ns.Do(f))
}

// Link looks an interface up.
func Link(t testing.TB, ns *netns.Handle, name string) netlink.Link {
	t.Helper()
	var l netlink.Link
	In(t, ns, func() (err error) {
		if l, err = netlink.LinkByName(name); err != nil {
			return fmt.Errorf("look up %s: %w", name, err)
		}
		return nil
	})
	return l
}

// Ifindex is the number of an interface.
func Ifindex(t testing.TB, ns *netns.Handle, name string) int {
	t.Helper()
	return Link(t, ns, name).Attrs().Index
}

// Sysctl writes a setting, by its path below /proc/sys: net/ipv4/ip_forward.
func Sysctl(t testing.TB, ns *netns.Handle, key, value string) {
	t.Helper()
	In(t, ns, func() error {
		return os.WriteFile(filepath.Join("/proc/sys", key), []byte(value), 0)
	})
}

// ReadSysctl reads a setting, without the line's end.
func ReadSysctl(t testing.TB, ns *netns.Handle, key string) string {
	t.Helper()
	var value []byte
	In(t, ns, func() (err error) {
		value, err = os.ReadFile(filepath.Join("/proc/sys", key))
		return err
	})
	return strings.TrimSpace(string(value))
}
