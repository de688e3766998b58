// SPDX-License-Identifier: Apache-2.0

package plumb

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"github.com/mizar-go/mizar/internal/testutil"
)

func (r *rig) bridges() []Bridge {
	r.t.Helper()
	all, err := r.again().Bridges(r.t.Context())
	require.NoError(r.t, err)
	return all
}

// A bridge is made, changed in place, found after a restart, and removed.
func TestBridge(t *testing.T) {
	r := newRig(t)
	before := r.snapshot()
	r.bridge(Added, Bridge{Name: "br0"})
	index := testutil.Ifindex(t, r.ns, "br0")
	for _, b := range []Bridge{
		{Name: "br0", MTU: 1400, Ports: []string{"y", "x"}},
		{Name: "br0", MTU: 1500, Ports: []string{"z", "x"}},
		{Name: "br0", MTU: 9000},
	} {
		r.bridge(Replaced, b)
	}
	require.Equal(t, []Bridge{{Name: "br0", MTU: 9000}}, r.bridges())
	testutil.MTU(t, r.ns, 1300, "z")
	r.bridge(Replaced, Bridge{Name: "br0", Ports: []string{"z", "x"}})
	require.Equal(t, []Bridge{{Name: "br0", MTU: 1300, Ports: []string{"x", "z"}}}, r.bridges())
	r.bridge(Replaced, Bridge{Name: "br0", Ports: []string{"x"}})
	require.Equal(t, []Bridge{{Name: "br0", MTU: 1500, Ports: []string{"x"}}}, r.bridges(), "that of a port that leaves does not count")
	testutil.MTU(t, r.ns, 1500, "z")
	r.bridge(Replaced, Bridge{Name: "br0", Ports: []string{"z", "x"}})

	// What others change is repaired.
	testutil.Down(t, r.ns, "br0")
	testutil.In(t, r.ns, func() error {
		z, err := netlink.LinkByName("z")
		br, err2 := netlink.LinkByName("br0")
		return errors.Join(err, err2, netlink.LinkSetNoMaster(z), netlink.LinkSetAlias(br, ""))
	})
	testutil.Sysctl(t, r.ns, "net/ipv6/conf/br0/accept_ra", "2")
	r.bridge(Replaced, Bridge{Name: "br0", Ports: []string{"z", "x"}})
	require.Equal(t, index, testutil.Ifindex(t, r.ns, "br0"))
	r.bridge(Added, Bridge{Name: "br1", Ports: []string{"y"}})
	require.Equal(t, []Bridge{{Name: "br0", MTU: 1500, Ports: []string{"x", "z"}}, {Name: "br1", MTU: 1500, Ports: []string{"y"}}}, r.bridges())
	others, err := plumber(t, r.ns, "red", nil).Bridges(t.Context())
	require.NoError(t, err)
	require.Empty(t, others)

	require.NoError(t, r.again().RemoveBridge(t.Context(), "br0"))
	require.ErrorIs(t, r.RemoveBridge(t.Context(), "br0"), ErrNotFound)
	require.NoError(t, r.RemoveBridge(t.Context(), "br1"))
	require.Equal(t, before, r.snapshot())
}

// What is somebody else's is neither changed nor removed.
func TestBridgeOfOthers(t *testing.T) {
	r := newRig(t)
	testutil.Bridge(t, r.ns, "theirs", "z")
	red := plumber(t, r.ns, "red", nil)
	_, err := red.AddBridge(t.Context(), Bridge{Name: "red"})
	require.NoError(t, err)
	r.bridge(Added, Bridge{Name: "ours", Ports: []string{"y"}})
	testutil.In(t, r.ns, func() error {
		x, err := netlink.LinkByName("x")
		br, err2 := netlink.LinkByName("ours")
		return errors.Join(err, err2, netlink.LinkSetMaster(x, br), netlink.LinkAddAltName(br, "an.other.name.of.ours"))
	})
	before := r.snapshot()
	for _, tc := range []struct {
		b    Bridge
		want error
	}{
		{Bridge{Name: "theirs"}, ErrNotOurs},
		{Bridge{Name: "theirs"}, ErrExists},
		{Bridge{Name: "red"}, ErrNotOurs},
		{Bridge{Name: "x"}, ErrNotOurs},
		{Bridge{Name: "lo"}, ErrNotOurs},
		{Bridge{Name: "new", Ports: []string{"z"}}, ErrInUse},
		{Bridge{Name: "new", Ports: []string{"none"}}, ErrNotFound},
		{Bridge{Name: "new", Ports: []string{"new"}}, ErrInvalid},
		{Bridge{Name: "new", Ports: []string{"y", "y"}}, ErrInvalid},
		{Bridge{Name: "new", Ports: []string{"lo"}}, ErrInvalid},
		{Bridge{Name: "new", MTU: 67}, ErrInvalid},
		{Bridge{Name: "new", MTU: 1 << 20}, ErrInvalid},
		{Bridge{Name: ""}, ErrInvalid},
		{Bridge{Name: "a name"}, ErrInvalid},
		{Bridge{Name: "br%d"}, ErrInvalid},
		{Bridge{Name: "../br"}, ErrInvalid},
		{Bridge{Name: "longer-than-it-may-be"}, ErrInvalid},
	} {
		_, err := r.AddBridge(t.Context(), tc.b)
		require.ErrorIs(t, err, tc.want, "%+v", tc.b)
	}
	for _, name := range []string{"theirs", "red", "x", "lo", "none"} {
		require.ErrorIs(t, r.RemoveBridge(t.Context(), name), ErrNotFound, name)
	}
	require.ErrorIs(t, r.RemoveBridge(t.Context(), "ours"), ErrInUse)
	require.Equal(t, before, r.snapshot())
	require.Equal(t, []Bridge{{Name: "ours", MTU: 1500, Ports: []string{"y"}}}, r.bridges())
	r.bridge(Unchanged, Bridge{Name: "ours", Ports: []string{"x", "y"}}) // x is there by other hands
	r.bridge(Replaced, Bridge{Name: "ours"})
	require.NotZero(t, testutil.Link(t, r.ns, "x").Attrs().MasterIndex, "and stays")
}

func TestBridgeFaults(t *testing.T) {
	r := newRig(t)
	add := func(b Bridge) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := r.AddBridge(ctx, b)
			return err
		}
	}
	r.faults(r.Plumber, add(Bridge{Name: "br0", MTU: 1400, Ports: []string{"x", "y"}}))
	r.faults(r.Plumber, add(Bridge{Name: "br0", MTU: 1450, Ports: []string{"z", "y"}}))
}

// Killed at any moment of making a bridge, the daemon finds what there is of it, and repairs or removes it.
func TestBridgeHalfMade(t *testing.T) {
	r := newRig(t)
	before := r.snapshot()
	b := Bridge{Name: "br0", MTU: 1400, Ports: []string{"x", "y"}}
	repair := true
	add := func(ctx context.Context, p *Plumber) error {
		_, err := p.AddBridge(ctx, b)
		return err
	}
	check := func(step string) {
		if repair {
			require.NoError(t, add(t.Context(), r.again()), step)
			require.Equal(t, []Bridge{b}, r.bridges(), step)
		}
		if step != "create" || repair {
			require.NoError(t, r.again().RemoveBridge(t.Context(), "br0"), step)
		}
		require.Equal(t, before, r.snapshot(), step)
	}
	r.half(add, check)
	require.NoError(t, r.RemoveBridge(t.Context(), "br0"))
	repair = false
	r.half(add, check)
}
