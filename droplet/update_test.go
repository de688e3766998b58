// SPDX-License-Identifier: Apache-2.0

package droplet

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"github.com/mizar-go/mizar/internal/attach"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

func TestUpdate(t *testing.T) {
	for _, mode := range []Mode{TCX, Native, Generic} {
		t.Run(mode.String(), func(t *testing.T) {
			p, _ := newHost(t)
			p.attach(t, mode)
			was := p.list(t)[0]
			require.Equal(t, mode, was.Mode)
			xdp, tcx := attached(t, p.ns, "up0")
			slot, err := p.tables.Droplets.Get(was.Ifindex)
			require.NoError(t, err)

			// What the interface has become since, and what the caller gives.
			testutil.MTU(t, p.ns, 1450, "up0")
			testutil.Addr(t, p.ns, "up0", "203.0.113.1/24")
			for _, c := range []Config{
				{Interface: "up0", Cookie: 7},
				{Interface: "up0", Mode: mode, Addrs: []netip.Addr{netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("192.0.2.1")}},
			} {
				got, err := p.Update(t.Context(), c)
				require.NoError(t, err)
				want := *was
				want.MTU, want.Cookie, want.Addrs = 1450, c.Cookie, c.Addrs
				if c.Addrs == nil {
					want.Addrs = []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8:1::1"), netip.MustParseAddr("203.0.113.1")}
				}
				require.Equal(t, &want, got)
				require.Equal(t, []*Droplet{&want}, p.again(t).list(t))
				row, err := p.tables.Droplets.Get(was.Ifindex)
				require.NoError(t, err)
				require.Equal(t, slot.XDP, row.XDP)
				require.Equal(t, slot.TX, row.TX)
			}
			nowXDP, nowTCX := attached(t, p.ns, "up0")
			require.Equal(t, xdp, nowXDP)
			require.Equal(t, tcx, nowTCX)
			require.NoError(t, p.Detach(t.Context(), "up0"))
		})
	}
}

// flush takes all addresses away.
func flush(name string) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	all, err := netlink.AddrList(l, netlink.FAMILY_V4)
	for _, a := range all {
		err = errors.Join(err, netlink.AddrDel(l, &a))
	}
	return err
}

// What an update refuses changes nothing.
func TestUpdateRefused(t *testing.T) {
	p, far := newHost(t)
	testutil.Veth(t, p.ns, "up1", far, "sw1")
	testutil.Addr(t, p.ns, "up1", "198.51.100.1/24", "198.51.101.2/24")
	p.attach(t, TCX)
	_, err := p.Attach(t.Context(), Config{Interface: "up1"})
	require.NoError(t, err)
	refused := func(c Config, want error) {
		t.Helper()
		before := p.snapshot(t)
		_, err := p.Update(t.Context(), c)
		require.ErrorIs(t, err, want)
		require.Equal(t, before, p.snapshot(t))
	}
	addrs := func(all ...string) (out []netip.Addr) {
		for _, a := range all {
			out = append(out, netip.MustParseAddr(a))
		}
		return out
	}
	refused(Config{}, maps.ErrInvalid)
	refused(Config{Interface: "lo"}, maps.ErrNotFound)
	refused(Config{Interface: "nosuch0"}, maps.ErrNotFound)
	refused(Config{Interface: "up0", Mode: Native}, maps.ErrInvalid)
	refused(Config{Interface: "up0", Addrs: addrs("192.0.2.1", "192.0.2.1")}, maps.ErrInvalid)
	refused(Config{Interface: "up0", Addrs: addrs("192.0.2.1", "198.51.101.2")}, maps.ErrExists)
	testutil.MTU(t, p.ns, 1300, "up0")
	refused(Config{Interface: "up0"}, ErrMTU)
	testutil.MTU(t, p.ns, 1500, "up0")
	testutil.In(t, p.ns, func() error { return flush("up1") })
	refused(Config{Interface: "up1"}, ErrNoAddress)
	testutil.In(t, p.ns, func() error {
		return attach.Detach(p.links, testutil.Ifindex(t, p.ns, "up0"), attach.TransitTCX)
	})
	refused(Config{Interface: "up0"}, maps.ErrInvalid)
	for _, name := range []string{"up0", "up1"} {
		require.NoError(t, p.Detach(t.Context(), name))
	}
}
