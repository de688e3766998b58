// SPDX-License-Identifier: Apache-2.0

package droplet

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/internal/ethtool"
	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

// attached tells what hangs on an interface: the mode of XDP as netlink counts (0: none), and how many
// tcx programs.
func attached(t *testing.T, ns *netns.Handle, name string) (xdp uint32, tcx int) {
	t.Helper()
	l := testutil.Link(t, ns, name)
	if l.Attrs().Xdp != nil {
		xdp = l.Attrs().Xdp.AttachMode
	}
	testutil.In(t, ns, func() error {
		there, err := link.QueryPrograms(link.QueryOptions{Target: l.Attrs().Index, Attach: ebpf.AttachTCXIngress})
		if err == nil {
			tcx = len(there.Programs)
		}
		return err
	})
	return xdp, tcx
}

func features(t *testing.T, ns *netns.Handle, name string) (f ethtool.Features) {
	t.Helper()
	testutil.In(t, ns, func() (err error) {
		f, err = ethtool.Get(name)
		return err
	})
	return f
}

func TestEachModeOnVeth(t *testing.T) {
	for _, c := range []struct {
		mode, got Mode
		xdp       uint32
	}{
		{Auto, TCX, 0},
		{TCX, TCX, 0},
		{Native, Native, 1},
		{Generic, Generic, 2},
	} {
		t.Run(c.mode.String(), func(t *testing.T) {
			p, far := newHost(t)
			before := p.snapshot(t)
			d, err := p.Attach(t.Context(), Config{Interface: "up0", Mode: c.mode, Cookie: 42})
			require.NoError(t, err)

			up0 := testutil.Link(t, p.ns, "up0").Attrs()
			require.Equal(t, &Droplet{
				Interface: "up0", Ifindex: up0.Index, Mode: c.got, Why: d.Why,
				Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8:1::1")},
				MAC:   up0.HardwareAddr, MTU: 1500, Cookie: 42, Traffic: d.Traffic,
			}, d)
			require.NotEmpty(t, d.Why)
			require.NotZero(t, d.Traffic)

			xdp, tcx := attached(t, p.ns, "up0")
			require.Equal(t, c.xdp, xdp)
			require.Equal(t, 1, tcx, "in every mode, tcx is there")
			row, err := p.tables.Droplets.Get(up0.Index)
			require.NoError(t, err)
			require.Equal(t, c.got.XDP(), row.XDP)
			f := features(t, p.ns, "up0")
			for _, name := range []string{"tx-checksum-ip-generic", "tx-checksum-sctp", "tx-tcp-segmentation", "tx-tcp6-segmentation"} {
				require.Equal(t, !c.got.XDP(), f[name].On, name)
			}
			require.Equal(t, c.got.XDP(), f["rx-gro"].On)

			r := testutil.Ping(t, far, netip.Addr{}, netip.MustParseAddr("192.0.2.1"), 3, time.Second)
			require.Zero(t, r.Lost, "what is no tunnel packet passes")

			got, err := p.Get(t.Context(), "up0")
			require.NoError(t, err)
			d.Why = ""
			require.Equal(t, d, got)
			require.Equal(t, []*Droplet{d}, p.list(t))

			p.detach(t)
			require.Equal(t, before, p.snapshot(t))
			require.Empty(t, p.list(t))
			_, err = p.Get(t.Context(), "up0")
			require.ErrorIs(t, err, maps.ErrNotFound)
			require.ErrorIs(t, p.Detach(t.Context(), "up0"), maps.ErrNotFound)
		})
	}
}

func TestSettingsOfTheUserAreKept(t *testing.T) {
	p, _ := newHost(t)
	// One that we would turn off is off already, one that we turn on too, one is as no default has it.
	testutil.In(t, p.ns, func() error {
		return ethtool.Set("up0", map[string]bool{"tx-tcp-segmentation": false, "rx-gro": true, "rx-udp-gro-forwarding": true})
	})
	before := p.snapshot(t)
	p.attach(t, Native)
	f := features(t, p.ns, "up0")
	require.False(t, f["tx-tcp-segmentation"].On)
	require.False(t, f["rx-udp-gro-forwarding"].On)
	p.detach(t)
	require.Equal(t, before, p.snapshot(t))
}

func TestAnotherProcessRestores(t *testing.T) {
	p, _ := newHost(t)
	before := p.snapshot(t)
	d := p.attach(t, Native)
	d.Why = ""

	q := p.again(t)
	require.Equal(t, []*Droplet{d}, q.list(t))
	_, err := q.Attach(t.Context(), Config{Interface: "up0"})
	require.ErrorIs(t, err, maps.ErrExists)
	q.detach(t)
	require.Equal(t, before, q.snapshot(t))
	require.ErrorIs(t, p.Detach(t.Context(), "up0"), maps.ErrNotFound)
}

func TestSeveralDroplets(t *testing.T) {
	p, far := newHost(t)
	testutil.Veth(t, p.ns, "up1", far, "sw1")
	testutil.Addr(t, p.ns, "up1", "198.51.100.1/24")
	before := p.snapshot(t)
	p.attach(t, TCX)
	_, err := p.Attach(t.Context(), Config{Interface: "up1", Mode: Native})
	require.NoError(t, err, "also of an interface that is down")
	require.Len(t, p.list(t), 2)
	p.detach(t)
	require.Len(t, p.list(t), 1)
	require.NoError(t, p.Detach(t.Context(), "up1"))
	require.Equal(t, before, p.snapshot(t))
}

func TestGivenAddresses(t *testing.T) {
	p, _ := newHost(t)
	// A host may have its tunnel address on lo.
	addrs := []netip.Addr{netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("192.0.2.1")}
	d, err := p.Attach(t.Context(), Config{Interface: "up0", Addrs: addrs})
	require.NoError(t, err)
	require.Equal(t, addrs, d.Addrs)
	p.detach(t)

	before := p.snapshot(t)
	for _, bad := range []string{"::", "224.0.0.1", "fe80::1%up0", "ff02::1", "::ffff:192.0.2.1"} {
		_, err = p.Attach(t.Context(), Config{Interface: "up0", Addrs: []netip.Addr{netip.MustParseAddr(bad)}})
		require.ErrorIs(t, err, maps.ErrInvalid, bad)
	}
	require.Equal(t, before, p.snapshot(t))
}

func TestExists(t *testing.T) {
	for _, mode := range []Mode{TCX, Native} {
		t.Run(mode.String(), func(t *testing.T) {
			p, _ := newHost(t)
			other := newPlane(t, p.ns, "green")
			p.attach(t, mode)
			before, others := p.snapshot(t), other.snapshot(t)
			for _, again := range []Mode{Auto, TCX, Native, Generic} {
				_, err := p.Attach(t.Context(), Config{Interface: "up0", Mode: again})
				require.ErrorIs(t, err, maps.ErrExists, "%s in the same data-plane", again)
				_, err = other.Attach(t.Context(), Config{Interface: "up0", Mode: again})
				require.ErrorIs(t, err, maps.ErrExists, "%s in another data-plane", again)
			}
			require.Equal(t, before, p.snapshot(t))
			require.Equal(t, others, other.snapshot(t))
		})
	}
}

func TestBusy(t *testing.T) {
	for _, flags := range []link.XDPAttachFlags{link.XDPDriverMode, link.XDPGenericMode} {
		t.Run(fmt.Sprint(flags), func(t *testing.T) {
			p, _ := newHost(t)
			foreignXDP(t, p.ns, "up0", flags)
			before := p.snapshot(t)
			for _, mode := range []Mode{Native, Generic, Offload} {
				_, err := p.Attach(t.Context(), Config{Interface: "up0", Mode: mode})
				require.ErrorIs(t, err, ErrBusy, mode.String())
				require.ErrorContains(t, err, "somebodys")
				require.Equal(t, before, p.snapshot(t))
			}
			// tcx does not need the place.
			d := p.attach(t, Auto)
			require.Equal(t, TCX, d.Mode)
			require.Contains(t, d.Why, "another's XDP program")
			p.detach(t)
			require.Equal(t, before, p.snapshot(t))
		})
	}
}

func TestEndpointIsNoDroplet(t *testing.T) {
	p, _ := newHost(t)
	require.NoError(t, p.tables.Restore.Put(maps.Saved{
		Ifindex: testutil.Ifindex(t, p.ns, "up0"), Name: "up0", Role: maps.RoleAdopted, Mode: TCX,
	}))
	before := p.snapshot(t)
	_, err := p.Attach(t.Context(), Config{Interface: "up0"})
	require.ErrorIs(t, err, ErrBusy)
	require.Empty(t, p.list(t))
	require.ErrorIs(t, p.Detach(t.Context(), "up0"), maps.ErrNotFound)
	require.Equal(t, before, p.snapshot(t))
}

func TestRefused(t *testing.T) {
	p, far := newHost(t)
	testutil.Veth(t, p.ns, "bare", far, "x0")
	testutil.Up(t, far, "x0")
	testutil.Up(t, p.ns, "bare") // with an address of link scope
	testutil.Veth(t, p.ns, "small", far, "x1")
	testutil.Addr(t, p.ns, "small", "203.0.113.1/24")
	testutil.MTU(t, p.ns, minMTU-1, "small")
	testutil.Bridge(t, p.ns, "br0")
	testutil.Addr(t, p.ns, "br0", "203.0.113.2/24")
	before := p.snapshot(t)
	for _, c := range []struct {
		name string
		Config
		err   error
		words string
	}{
		{"no interface", Config{Interface: "none0"}, ErrNoInterface, "none0"},
		{"no address", Config{Interface: "bare"}, ErrNoAddress, "bare"},
		{"MTU", Config{Interface: "small"}, ErrMTU, "1373 bytes, of 1374"},
		{"no Ethernet", Config{Interface: "lo"}, bpf.ErrNotSupported, "loopback"},
		{"no native XDP", Config{Interface: "br0", Mode: Native}, bpf.ErrNotSupported, "br0 (driver bridge)"},
		{"no offload", Config{Interface: "up0", Mode: Offload}, bpf.ErrNotSupported, "up0 (driver veth)"},
		{"no offload", Config{Interface: "br0", Mode: Offload}, bpf.ErrNotSupported, "br0 (driver bridge)"},
		{"no name", Config{}, maps.ErrInvalid, "name"},
		{"long name", Config{Interface: "abcdefghijklmnop"}, maps.ErrInvalid, "name"},
		{"mode", Config{Interface: "up0", Mode: Offload + 1}, maps.ErrInvalid, "mode(5)"},
	} {
		_, err := p.Attach(t.Context(), c.Config)
		require.ErrorIs(t, err, c.err, c.name)
		require.ErrorContains(t, err, c.words, c.name)
		require.Equal(t, before, p.snapshot(t), c.name)
	}
	testutil.MTU(t, p.ns, minMTU, "small")
	d, err := p.Attach(t.Context(), Config{Interface: "small"})
	require.NoError(t, err)
	require.Equal(t, minMTU, d.MTU)
	require.NoError(t, p.Detach(t.Context(), "small"))
}

func TestNoDirectoryForLinks(t *testing.T) {
	p, _ := newHost(t)
	for _, o := range []Options{{Links: p.links}, {Name: "blue"}} {
		_, err := NewManager(p.tables, p.programs, o)
		require.ErrorIs(t, err, maps.ErrInvalid)
	}
	m, err := NewManager(p.tables, p.programs, Options{Name: "blue", Links: p.dir + "/none", NetNS: p.ns})
	require.NoError(t, err)
	before := p.snapshot(t)
	_, err = m.Attach(t.Context(), Config{Interface: "up0"})
	require.Error(t, err)
	require.Equal(t, before, p.snapshot(t))
}

func TestOwnNamespace(t *testing.T) {
	p, _ := newHost(t)
	m, err := NewManager(p.tables, p.programs, Options{Name: "blue", Links: p.links})
	require.NoError(t, err)
	_, err = m.Attach(t.Context(), Config{Interface: "up0"})
	require.ErrorIs(t, err, ErrNoInterface)
	testutil.In(t, p.ns, func() error {
		_, err := m.Attach(t.Context(), Config{Interface: "up0"})
		return err
	})
	p.detach(t)
}

func TestContext(t *testing.T) {
	p, _ := newHost(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	before := p.snapshot(t)
	_, err := p.Attach(ctx, Config{Interface: "up0"})
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, p.Detach(ctx, "up0"), context.Canceled)
	_, err = p.Get(ctx, "up0")
	require.ErrorIs(t, err, context.Canceled)
	for _, err := range p.List(ctx) {
		require.ErrorIs(t, err, context.Canceled)
	}
	_, err = p.SetupFIB(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, p.RemoveFIB(ctx), context.Canceled)
	require.ErrorIs(t, p.Resolve(ctx), context.Canceled)
	require.ErrorIs(t, p.Forget(ctx), context.Canceled)
	require.Equal(t, before, p.snapshot(t))
}
