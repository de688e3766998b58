// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/internal/attach"
	"github.com/mizar-go/mizar/internal/ethtool"
	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

// full is a config that says all there is to say.
func full(ns *netns.Handle, mode Mode) Config {
	return Config{
		VNI:           0xabcdef,
		Addrs:         prefixes("192.0.2.10/24", "2001:db8:7::10/64", "192.0.2.200/32"),
		Allowed:       prefixes("198.51.100.0/24", "2001:db8:8::/48"),
		Routes:        []Route{{Dst: netip.MustParsePrefix("0.0.0.0/0"), Via: netip.MustParseAddr("203.0.113.1")}, {Dst: netip.MustParsePrefix("2001:db8::/32")}},
		NetNS:         FD(ns.FD()),
		Interface:     "net7",
		HostInterface: "host-side",
		MAC:           net.HardwareAddr{0x02, 1, 2, 3, 4, 5},
		MTU:           2000,
		Mode:          mode,
		Cookie:        0xfeedface,
	}
}

func TestCreate(t *testing.T) {
	for _, mode := range []Mode{Auto, TCX, Native, Generic} {
		t.Run(mode.String(), func(t *testing.T) {
			r := newRig(t, bpf.Limits{})
			ns := testutil.NewNS(t)
			before := r.snapshot(ns)
			c := full(ns, mode)
			e := r.create(c)
			want := mode
			if mode == Auto {
				want = TCX
			}
			require.NotZero(t, e.Traffic)
			require.Equal(t, &Endpoint{
				VNI: c.VNI, Addrs: []netip.Addr{c.Addrs[0].Addr(), c.Addrs[2].Addr(), c.Addrs[1].Addr()},
				Allowed: c.Allowed, Ifindex: e.Ifindex, HostInterface: "host-side", MAC: c.MAC, MTU: 2000,
				Mode: want, Cookie: c.Cookie, Traffic: e.Traffic,
			}, e)
			checkHost(t, r, e)
			checkWorkload(t, ns, c)
			checkRows(t, r, c, e)
			hooks := []attach.Hook{attach.AgentTCX}
			if want.XDP() {
				hooks = []attach.Hook{attach.AgentTCX, attach.AgentXDP} // by name
			}
			var attached []attach.Hook
			testutil.In(t, r.host, func() error {
				all, err := attach.List(r.links)
				for _, p := range all {
					require.Equal(t, e.Ifindex, p.Ifindex)
					require.False(t, p.Gone)
					attached = append(attached, p.Hook)
				}
				return err
			})
			require.Equal(t, hooks, attached)
			require.Equal(t, []*Endpoint{e}, locals(t, r.Manager))
			require.Equal(t, []*Endpoint{e}, locals(t, r.another()))

			require.NoError(t, r.Delete(t.Context(), "host-side"))
			require.Equal(t, before, r.snapshot(ns))
			require.Empty(t, locals(t, r.Manager))
			require.ErrorIs(t, r.Delete(t.Context(), "host-side"), maps.ErrNotFound)
		})
	}
}

func checkHost(t *testing.T, r *rig, e *Endpoint) {
	t.Helper()
	l := testutil.Link(t, r.host, e.HostInterface)
	require.Equal(t, e.Ifindex, l.Attrs().Index)
	require.Equal(t, "veth", l.Type())
	require.Equal(t, e.MTU, l.Attrs().MTU)
	require.NotZero(t, l.Attrs().Flags&net.FlagUp)
	require.Equal(t, netlink.LinkOperState(netlink.OperUp), l.Attrs().OperState)
	testutil.In(t, r.host, func() error {
		addrs, err := netlink.AddrList(l, netlink.FAMILY_ALL)
		require.Empty(t, addrs, "the host's stack took an address for itself")
		return err
	})
	mode := map[Mode]uint32{Native: nativeXDP, Generic: genericXDP, TCX: 0}[e.Mode]
	if mode == 0 {
		require.False(t, l.Attrs().Xdp != nil && l.Attrs().Xdp.Attached)
	} else {
		require.Equal(t, mode, l.Attrs().Xdp.AttachMode)
	}
}

// XDP_ATTACHED_DRV, XDP_ATTACHED_SKB
const (
	nativeXDP  = 1
	genericXDP = 2
)

func checkWorkload(t *testing.T, ns *netns.Handle, c Config) {
	t.Helper()
	l := testutil.Link(t, ns, "net7")
	require.Equal(t, c.MAC, l.Attrs().HardwareAddr)
	require.Equal(t, c.MTU, l.Attrs().MTU)
	require.NotZero(t, l.Attrs().Flags&net.FlagUp)
	testutil.In(t, ns, func() error {
		addrs, err := netlink.AddrList(l, netlink.FAMILY_ALL)
		require.NoError(t, err)
		var have []string
		for _, a := range addrs {
			if a.IP.IsLinkLocalUnicast() {
				continue
			}
			have = append(have, a.IPNet.String())
			require.Zero(t, a.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED), "%s cannot be used at once", a.IPNet)
			require.NotZero(t, a.Flags&unix.IFA_F_PERMANENT)
		}
		require.ElementsMatch(t, []string{"192.0.2.10/24", "192.0.2.200/32", "2001:db8:7::10/64"}, have)
		for dst, gw := range map[string]string{"203.0.113.77": "203.0.113.1", "2001:db8:ffff::1": ""} {
			routes, err := netlink.RouteGet(net.ParseIP(dst))
			require.NoError(t, err)
			require.Equal(t, l.Attrs().Index, routes[0].LinkIndex)
			require.True(t, net.ParseIP(gw).Equal(routes[0].Gw), "to %s by %s", dst, routes[0].Gw)
		}
		features, err := ethtool.Get("net7")
		for name, on := range offloads(c.Mode) {
			require.Equal(t, on, features[name].On, name)
		}
		require.Equal(t, c.Mode == TCX || c.Mode == Auto, features["tx-tcp-segmentation"].On)
		return err
	})
}

func checkRows(t *testing.T, r *rig, c Config, e *Endpoint) {
	t.Helper()
	a, err := r.tables.Agents.Get(e.Ifindex)
	require.NoError(t, err)
	require.ElementsMatch(t, c.Allowed, a.Allowed)
	a.Allowed = nil
	require.Equal(t, maps.Agent{
		Ifindex: e.Ifindex, VNI: c.VNI, MAC: c.MAC, MTU: c.MTU, PeerNetNS: true,
		XDP: e.Mode.XDP(), Traffic: e.Traffic, Cookie: c.Cookie,
	}, a)
	for _, p := range c.Addrs {
		row, err := r.Get(t.Context(), maps.EndpointKey{VNI: c.VNI, Addr: p.Addr()})
		require.NoError(t, err)
		require.Equal(t, maps.Endpoint{VNI: c.VNI, Addr: p.Addr(), Ifindex: e.Ifindex, MAC: c.MAC, Cookie: c.Cookie}, row)
	}
	n := 0
	for _, err := range r.List(t.Context()) {
		require.NoError(t, err)
		n++
	}
	require.Equal(t, len(c.Addrs), n)
}

func TestCreateDefaults(t *testing.T) {
	r := newRig(t, bpf.Limits{})
	ns := testutil.NewNS(t)
	e := r.create(dual(ns))
	require.Regexp(t, "^mz[0-9a-f]{8}$", e.HostInterface)
	require.Equal(t, TCX, e.Mode)
	l := testutil.Link(t, ns, "eth0")
	require.Equal(t, e.MAC, l.Attrs().HardwareAddr)
	require.Equal(t, byte(2), e.MAC[0])
	testutil.In(t, ns, func() error {
		for _, dst := range []string{"203.0.113.77", "2001:db8:ffff::1"} {
			routes, err := netlink.RouteGet(net.ParseIP(dst))
			require.NoError(t, err)
			require.Equal(t, l.Attrs().Index, routes[0].LinkIndex)
			require.Nil(t, routes[0].Gw)
		}
		return nil
	})
	require.NoError(t, r.Delete(t.Context(), e.HostInterface))
}

// Container runtimes turn IPv6 off for interfaces that are yet to come.
func TestIPv6TurnedOff(t *testing.T) {
	r := newRig(t, bpf.Limits{})
	ns := testutil.NewNS(t)
	testutil.Sysctl(t, ns, "net/ipv6/conf/default/disable_ipv6", "1")
	e := r.create(dual(ns))
	require.Equal(t, "0", testutil.ReadSysctl(t, ns, "net/ipv6/conf/eth0/disable_ipv6"))
	require.NoError(t, r.Delete(t.Context(), e.HostInterface))

	c := dual(ns)
	c.Addrs = c.Addrs[:1]
	e = r.create(c)
	require.Equal(t, "1", testutil.ReadSysctl(t, ns, "net/ipv6/conf/eth0/disable_ipv6"), "nobody asked for IPv6")
	require.NoError(t, r.Delete(t.Context(), e.HostInterface))
}

func TestClashes(t *testing.T) {
	r := newRig(t, bpf.Limits{})
	ns, other := testutil.NewNS(t), testutil.NewNS(t)
	first := dual(ns)
	first.HostInterface = "blue"
	r.create(first)
	testutil.Veth(t, r.host, "taken", other, "eth1")
	before := r.snapshot(ns, other)
	for name, change := range map[string]func(*Config){
		"an address":               func(c *Config) { c.Addrs = prefixes("192.0.2.77/24", "192.0.2.10/24") },
		"the host's interface":     func(c *Config) { c.HostInterface = "blue" },
		"an interface":             func(c *Config) { c.HostInterface = "taken" },
		"the workload's":           func(c *Config) { c.NetNS = FD(ns.FD()) },
		"the workload's, not ours": func(c *Config) { c.Interface = "eth1" },
	} {
		t.Run(name, func(t *testing.T) {
			c := Config{VNI: 7, Addrs: prefixes("192.0.2.77/24"), NetNS: FD(other.FD())}
			change(&c)
			_, err := r.Create(t.Context(), c)
			require.ErrorIs(t, err, maps.ErrExists)
			require.Equal(t, before, r.snapshot(ns, other))
		})
	}
	// The same addresses in another VPC are others.
	c := dual(other)
	c.VNI = 8
	e := r.create(c)
	require.NoError(t, r.Delete(t.Context(), e.HostInterface))
	require.NoError(t, r.Delete(t.Context(), "blue"))
}

func TestFullTables(t *testing.T) {
	for name, limits := range map[string]bpf.Limits{
		"agents":    {Agents: 1},
		"endpoints": {Endpoints: 3},
		"allowed":   {Allowed: 3},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, limits)
			a, b := testutil.NewNS(t), testutil.NewNS(t)
			c := dual(a)
			c.Allowed = prefixes("198.51.100.0/24", "2001:db8:8::/48")
			e := r.create(c)
			before := r.snapshot(a, b)
			c = dual(b)
			c.VNI = 8
			c.Allowed = prefixes("198.51.100.0/24", "2001:db8:8::/48")
			_, err := r.Create(t.Context(), c)
			require.ErrorIs(t, err, maps.ErrFull)
			require.Equal(t, before, r.snapshot(a, b))
			require.NoError(t, r.Delete(t.Context(), e.HostInterface))
		})
	}
}

func TestNewManagerRefuses(t *testing.T) {
	_, err := NewManager(nil, nil, Options{Links: "links"})
	require.ErrorIs(t, err, maps.ErrInvalid)
	_, err = NewManager(new(maps.Tables), nil, Options{})
	require.ErrorIs(t, err, maps.ErrInvalid)
	m, err := NewManager(new(maps.Tables), nil, Options{Links: "links"})
	require.NoError(t, err)
	_, err = m.Create(t.Context(), good())
	require.ErrorIs(t, err, maps.ErrInvalid)
}
