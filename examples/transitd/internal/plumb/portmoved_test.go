// SPDX-License-Identifier: Apache-2.0

package plumb

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/examples/transitd/internal/ovs"
	"github.com/mizar-go/mizar/examples/transitd/internal/ovs/ovstest"
	"github.com/mizar-go/mizar/internal/testutil"
)

// A port that moves from a datapath in user space to a bridge of Linux has the offloads of one that was never elsewhere.
func TestPortMovedToLinux(t *testing.T) {
	r := newRig(t)
	sw := ovstest.Start(t, r.ns.Do)
	sw.Bridge("ovs0")
	testutil.Bridge(t, r.ns, "br0", "x")
	p := plumber(t, r.ns, "blue", client(t, sw))
	offloads := func() (all [3]uint32) {
		all[2] = testutil.Link(t, r.ns, Port{HostInterface: "ep"}.end()).Attrs().GROMaxSize
		testutil.In(t, r.ns, func() (err error) {
			var err2 error
			all[0], err = feature("ep", unix.ETHTOOL_GTSO, 0)
			all[1], err2 = feature("ep", unix.ETHTOOL_GTXCSUM, 0)
			return errors.Join(err, err2)
		})
		return all
	}
	add := func(t2 Port) {
		t.Helper()
		_, err := p.AddPort(t.Context(), t2)
		require.NoError(t, err)
		outcome, err := p.CheckPort(t.Context(), t2)
		require.NoError(t, err)
		require.Equal(t, Unchanged, outcome)
	}
	linux, user := Port{HostInterface: "ep", Bridge: "br0"}, Port{HostInterface: "ep", OVS: &OVSPort{Bridge: "ovs0"}}
	add(linux)
	fresh := offloads()
	add(user)
	require.NotEqual(t, fresh, offloads())
	add(linux)
	require.Equal(t, fresh, offloads())
	require.NoError(t, p.RemovePort(t.Context(), "ep"))
}

// One that is at Open vSwitch stays there while that does not answer: its row would stay, too, and be there again with it.
func TestPortStaysAtSwitchAway(t *testing.T) {
	r := newRig(t)
	sw := ovstest.Start(t, r.ns.Do)
	sw.Bridge("ovs0")
	testutil.Bridge(t, r.ns, "br0", "x")
	p := plumber(t, r.ns, "blue", client(t, sw))
	_, err := p.AddPort(t.Context(), Port{HostInterface: "ep", OVS: &OVSPort{Bridge: "ovs0"}})
	require.NoError(t, err)
	before := r.snapshot()
	linux := Port{HostInterface: "ep", Bridge: "br0"}
	// Also where the daemon was killed over the change before.
	for range 2 {
		sw.StopServer()
		_, err = p.AddPort(t.Context(), linux)
		require.ErrorIs(t, err, ovs.ErrUnavailable)
		require.Equal(t, before, r.snapshot())
		sw.StartServer()
		half := plumber(t, r.ns, "blue", client(t, sw))
		half.fail = func(step string) error {
			if strings.HasPrefix(step, "unplug") {
				panic(errFault)
			}
			return nil
		}
		require.PanicsWithValue(t, errFault, func() { _, _ = half.AddPort(t.Context(), linux) })
		half.mu.TryLock()
		half.mu.Unlock()
		before = r.snapshot()
	}
	_, err = p.AddPort(t.Context(), linux)
	require.NoError(t, err)
	require.NotContains(t, sw.Vsctl("show"), linux.end())
	require.NoError(t, p.RemovePort(t.Context(), "ep"))
}
