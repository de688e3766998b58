// SPDX-License-Identifier: Apache-2.0

package plumb

import (
	"context"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/internal/testutil"
)

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }
func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }

func (r *rig) listed() []Route {
	r.t.Helper()
	all, err := r.again().Routes(r.t.Context())
	require.NoError(r.t, err)
	return all
}

// Routes of both families are made, replaced, found after a restart, and removed.
func TestRoute(t *testing.T) {
	r := newRig(t)
	testutil.Addr(t, r.ns, "x", "192.0.2.1/24", "2001:db8:1::1/64")
	testutil.Addr(t, r.ns, "y", "198.51.100.1/24", "2001:db8:2::1/64")
	before := r.state()
	for _, tc := range []struct{ dst, viaX, viaX2, viaY string }{
		{"203.0.113.0/24", "192.0.2.2", "192.0.2.3", "198.51.100.2"},
		{"0.0.0.0/0", "192.0.2.2", "192.0.2.3", "198.51.100.2"},
		{"2001:db8:f::/48", "2001:db8:1::2", "2001:db8:1::3", "2001:db8:2::2"},
		{"::/0", "2001:db8:1::2", "2001:db8:1::3", "2001:db8:2::2"},
	} {
		t.Run(tc.dst, func(t *testing.T) {
			dst := prefix(tc.dst)
			for _, table := range []int{0, 1007, 1 << 31} {
				r.route(Added, Route{Dst: dst, Via: addr(tc.viaX), Table: table})
				r.route(Unchanged, Route{Dst: dst, Via: addr(tc.viaX), Table: table, Interface: "x"})
				r.route(Replaced, Route{Dst: dst, Via: addr(tc.viaX2), Table: table})
				r.route(Replaced, Route{Dst: dst, Via: addr(tc.viaX2), Table: table, MTU: 1400})
				r.route(Replaced, Route{Dst: dst, Via: addr(tc.viaX2), Table: table, MTU: 1300})
				r.route(Replaced, Route{Dst: dst, Via: addr(tc.viaY), Table: table})
				require.Equal(t, []Route{{Dst: dst, Via: addr(tc.viaY), Table: table, Interface: "y"}}, r.listed())
				r.route(Replaced, Route{Dst: dst, Interface: "z", Table: table, MTU: 1400})
				require.Equal(t, []Route{{Dst: dst, Table: table, Interface: "z", MTU: 1400}}, r.listed())
				require.True(t, r.locked(dst, table))
				others, err := plumber(t, r.ns, "default", nil).Routes(t.Context())
				require.NoError(t, err)
				require.Empty(t, others)
				require.NoError(t, r.again().RemoveRoute(t.Context(), dst, table))
				require.ErrorIs(t, r.RemoveRoute(t.Context(), dst, table), ErrNotFound)
				require.Equal(t, before, r.state())
			}
		})
	}
}

// locked tells whether a route's MTU counts for what is forwarded, too.
func (r *rig) locked(dst netip.Prefix, table int) bool {
	r.t.Helper()
	now, ours, err := r.routesTo(Route{Dst: dst, Table: table})
	require.NoError(r.t, err)
	require.True(r.t, ours)
	return now.MTULock
}

func TestRouteSorted(t *testing.T) {
	r := newRig(t)
	want := []Route{
		{Dst: prefix("203.0.113.0/25"), Interface: "x"},
		{Dst: prefix("203.0.113.128/25"), Interface: "y", MTU: 1280},
		{Dst: prefix("2001:db8:f::/48"), Interface: "z"},
		{Dst: prefix("203.0.113.0/24"), Interface: "x", Table: 1000},
	}
	for _, i := range []int{3, 1, 0, 2} {
		r.route(Added, want[i])
	}
	require.Equal(t, want, r.listed())
}

// What others made stays; what makes no sense is said.
func TestRouteOfOthers(t *testing.T) {
	r := newRig(t)
	testutil.Addr(t, r.ns, "x", "192.0.2.1/24", "2001:db8:1::1/64")
	testutil.Route(t, r.ns, "x", "203.0.113.0/24", "192.0.2.2")
	testutil.Route(t, r.ns, "x", "2001:db8:f::/48", "2001:db8:1::2")
	testutil.In(t, r.ns, func() error {
		dst := prefix("198.51.100.0/24")
		return netlink.RouteAdd(&netlink.Route{Dst: ipNet(dst), Type: unix.RTN_BLACKHOLE, Priority: 77})
	})
	other, err := New(Options{Instance: "red", NetNS: fdPath(r.ns), Protocol: 200})
	require.NoError(t, err)
	defer other.Close()
	_, err = other.AddRoute(t.Context(), Route{Dst: prefix("10.0.0.0/8"), Interface: "x"})
	require.NoError(t, err)
	before := r.state()
	for _, dst := range []string{"203.0.113.0/24", "2001:db8:f::/48", "198.51.100.0/24", "10.0.0.0/8", "192.0.2.0/24", "2001:db8:1::/64"} {
		_, err := r.AddRoute(t.Context(), Route{Dst: prefix(dst), Interface: "y"})
		require.ErrorIs(t, err, ErrNotOurs, dst)
		require.ErrorIs(t, r.RemoveRoute(t.Context(), prefix(dst), 0), ErrNotFound, dst)
	}
	for _, tc := range []struct {
		route Route
		want  error
	}{
		{Route{Dst: prefix("10.1.0.0/16")}, ErrInvalid},
		{Route{Dst: prefix("10.1.0.1/16"), Interface: "x"}, ErrInvalid},
		{Route{Interface: "x"}, ErrInvalid},
		{Route{Dst: prefix("224.0.0.0/4"), Interface: "x"}, ErrInvalid},
		{Route{Dst: prefix("10.1.0.0/16"), Via: addr("2001:db8:1::2")}, ErrInvalid},
		{Route{Dst: prefix("10.1.0.0/16"), Via: addr("0.0.0.0")}, ErrInvalid},
		{Route{Dst: prefix("10.1.0.0/16"), Via: addr("172.16.0.1")}, ErrInvalid}, // nobody knows the way there
		{Route{Dst: prefix("10.1.0.0/16"), Interface: "none"}, ErrNotFound},
		{Route{Dst: prefix("10.1.0.0/16"), Interface: "x", Table: 255}, ErrInvalid},
		{Route{Dst: prefix("10.1.0.0/16"), Interface: "x", Table: -1}, ErrInvalid},
		{Route{Dst: prefix("10.1.0.0/16"), Interface: "x", MTU: 1}, ErrInvalid},
	} {
		_, err := r.AddRoute(t.Context(), tc.route)
		require.ErrorIs(t, err, tc.want, "%+v", tc.route)
	}
	require.Equal(t, before, r.state())
	require.Empty(t, r.listed())
}

func TestRouteFaults(t *testing.T) {
	r := newRig(t)
	for _, dst := range []string{"203.0.113.0/24", "2001:db8:f::/48"} {
		for _, route := range []Route{{Dst: prefix(dst), Interface: "x"}, {Dst: prefix(dst), Interface: "y", MTU: 1400}} {
			r.faults(r.Plumber, func(ctx context.Context) error {
				_, err := r.AddRoute(ctx, route)
				return err
			})
		}
	}
}
