// SPDX-License-Identifier: Apache-2.0

package droplet

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"github.com/mizar-go/mizar/internal/ethtool"
	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

// empty takes it that nothing of a droplet is left.
func empty(t *testing.T, p *plane, before []string) {
	t.Helper()
	require.Empty(t, p.list(t))
	require.Subset(t, before, p.snapshot(t))
}

func gone(t *testing.T, p *plane, ifindex int) {
	t.Helper()
	d, err := p.Get(t.Context(), "up0")
	require.NoError(t, err)
	require.True(t, d.Gone)
	require.False(t, d.Partial)
	require.Equal(t, ifindex, d.Ifindex)
	require.Equal(t, "up0", d.Interface)
	require.Equal(t, []*Droplet{d}, p.list(t))
}

func TestGone(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) {
			p, _ := newHost(t)
			before := p.snapshot(t)
			d := p.attach(t, mode)
			testutil.Delete(t, p.ns, "up0")
			gone(t, p, d.Ifindex)
			p.detach(t)
			empty(t, p, before)
		})
	}
}

// remake makes up0 again, with a number.
func remake(t *testing.T, ns, far *netns.Handle, ifindex int) {
	t.Helper()
	testutil.In(t, ns, func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.Index = "up0", ifindex
		return netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "sw0", PeerNamespace: netlink.NsFd(far.FD())})
	})
	testutil.Addr(t, ns, "up0", "192.0.2.1/24")
}

// An interface of the same name and number is another one: its settings are its own.
func TestGoneAndAnotherInItsPlace(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) {
			p, far := newHost(t)
			d := p.attach(t, mode)
			testutil.Delete(t, p.ns, "up0")
			remake(t, p.ns, far, d.Ifindex)
			gone(t, p, d.Ifindex)
			testutil.In(t, p.ns, func() error { return ethtool.Set("up0", map[string]bool{"tx-checksum-ip-generic": false}) })
			p.detach(t)
			require.Empty(t, p.list(t))
			require.False(t, features(t, p.ns, "up0")["tx-checksum-ip-generic"].On)

			// To attach the new one, nobody has to clear away the old one.
			d = p.attach(t, mode)
			testutil.Delete(t, p.ns, "up0")
			remake(t, p.ns, far, d.Ifindex)
			e := p.attach(t, TCX)
			require.Equal(t, d.Ifindex, e.Ifindex)
			require.Len(t, p.list(t), 1)
			testutil.Delete(t, p.ns, "up0")
			remake(t, p.ns, far, 0)
			e = p.attach(t, mode)
			require.NotEqual(t, d.Ifindex, e.Ifindex)
			require.Len(t, p.list(t), 1)
			p.detach(t)
			require.Empty(t, p.list(t))
		})
	}
}

func TestMovedAway(t *testing.T) {
	p, far := newHost(t)
	before := p.snapshot(t)
	d := p.attach(t, Native)
	testutil.In(t, p.ns, func() error {
		l, err := netlink.LinkByName("up0")
		if err != nil {
			return err
		}
		return netlink.LinkSetNsFd(l, far.FD())
	})
	gone(t, p, d.Ifindex)
	p.detach(t)
	empty(t, p, before)
	xdp, tcx := attached(t, far, "up0")
	require.Zero(t, xdp)
	require.Zero(t, tcx)
}

func TestRenamed(t *testing.T) {
	p, _ := newHost(t)
	testutil.Sysctl(t, p.ns, "net/ipv6/conf/all/keep_addr_on_down", "1")
	before := p.snapshot(t)
	rename := func(from, to string) {
		testutil.Down(t, p.ns, from)
		testutil.In(t, p.ns, func() error {
			l, err := netlink.LinkByName(from)
			if err != nil {
				return err
			}
			return netlink.LinkSetName(l, to)
		})
		testutil.Up(t, p.ns, to)
	}
	p.attach(t, Native)
	rename("up0", "under0")
	_, err := p.Get(t.Context(), "up0")
	require.ErrorIs(t, err, maps.ErrNotFound)
	d, err := p.Get(t.Context(), "under0")
	require.NoError(t, err)
	require.False(t, d.Gone || d.Partial)
	require.NoError(t, p.Detach(t.Context(), "under0"))
	rename("under0", "up0")
	require.Equal(t, before, p.snapshot(t))
}
