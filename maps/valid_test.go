// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAddressesThatNobodyHas(t *testing.T) {
	for _, good := range []string{"10.0.0.1", "192.0.2.255", "169.254.0.1", "2001:db8::1", "fe80::1", "fc00::1"} {
		require.NoError(t, checkAddr("address", addr(good)))
	}
	for _, bad := range []netip.Addr{
		{}, addr("0.0.0.0"), addr("::"), addr("0.1.2.3"), addr("127.0.0.1"), addr("::1"), addr("224.0.0.1"),
		addr("ff02::1"), addr("240.0.0.1"), addr("255.255.255.255"), addr("fe80::1%eth0"), addr("::ffff:10.0.0.1"),
	} {
		require.ErrorIs(t, checkAddr("address", bad), ErrInvalid, "%v", bad)
	}
}

func TestPrefixesThatMakeNoSense(t *testing.T) {
	for _, good := range []string{"0.0.0.0/0", "10.0.0.0/8", "10.0.0.1/32", "::/0", "::/80", "2000::/3", "fe80::/64", "224.0.0.0/3"} {
		require.NoError(t, checkPrefix(prefix(good)), good)
	}
	for _, bad := range []netip.Prefix{
		{}, prefix("10.0.0.1/8"), prefix("2001:db8::1/32"), prefix("224.0.0.0/4"), prefix("239.1.0.0/16"),
		prefix("ff00::/8"), prefix("ff02::/16"), prefix("::8000:0:0/81"),
		netip.PrefixFrom(addr("::ffff:0:0"), 96), netip.PrefixFrom(addr("::ffff:10.0.0.0"), 104), netip.PrefixFrom(addr("10.0.0.0"), 33),
	} {
		require.ErrorIs(t, checkPrefix(bad), ErrInvalid, "%v", bad)
	}
}

// Rows that are as they should be, each the start of many that are not.
func validPeer() Peer { return Peer{Prefix: prefix("192.0.2.0/24"), Cookie: cookie} }
func validVPC() VPC   { return VPC{VNI: vni, Dividers: slices.Clone(hosts4), Cookie: cookie} }
func validNetwork() Network {
	return Network{VNI: vni, Prefix: prefix("10.0.0.0/24"), Bouncers: slices.Clone(hosts4), Cookie: cookie}
}
func validEndpoint() Endpoint {
	return Endpoint{VNI: vni, Addr: addr("10.0.0.1"), Host: addr("192.0.2.1"), MAC: mac, Cookie: cookie}
}
func validDroplet() Droplet {
	return Droplet{Ifindex: 3, Addrs: []netip.Addr{addr("192.0.2.9"), addr("2001:db8::9")}, MAC: mac, MTU: 1500, XDP: true, Cookie: cookie}
}
func validAgent() Agent {
	return Agent{Ifindex: 4, VNI: vni, MAC: mac, MTU: 1426, PeerNetNS: true, XDP: true,
		Allowed: []netip.Prefix{prefix("10.9.0.0/16"), prefix("2001:db8:9::/48")}, Cookie: cookie}
}
func validSaved() Saved {
	return Saved{Ifindex: 3, Name: "eth0", Role: RoleDroplet, FeatureMask: [2]uint64{1, 1 << 63}, FeatureWas: [2]uint64{1, 0},
		GSOMaxSize: 65536, GROMaxSize: 1, Qdisc: true, Device: cookie}
}

// spoil is each row with one thing wrong.
func spoil[R any](valid func() R, wrongs ...func(*R)) (bad []R) {
	for _, wrong := range wrongs {
		r := valid()
		wrong(&r)
		bad = append(bad, r)
	}
	return bad
}

// requireRefused puts rows that are invalid, and sees that nothing changes.
func requireRefused[R any](t *testing.T, r *rig, put func(R) error, rows []R) {
	t.Helper()
	before := r.image(t)
	for _, row := range rows {
		require.ErrorIs(t, put(row), ErrInvalid, "%+v", row)
	}
	require.Equal(t, before, r.image(t))
}

func tooMany() (many []netip.Addr) {
	for i := range setMembers + 1 {
		many = append(many, host(i))
	}
	return many
}

func TestInvalidRowsChangeNothing(t *testing.T) {
	r := newRig(t, small())
	r.fill(t)
	requireRefused(t, r, r.Peers.Put, spoil(validPeer,
		func(p *Peer) { p.Prefix = netip.Prefix{} },
		func(p *Peer) { p.Prefix = prefix("192.0.2.1/24") },
		func(p *Peer) { p.Prefix = prefix("::/0") },
		func(p *Peer) { p.Prefix = prefix("::/80") },
	))
	requireRefused(t, r, r.VPCs.Put, spoil(validVPC,
		func(v *VPC) { v.VNI = 0 },
		func(v *VPC) { v.VNI = 1 << 24 },
		func(v *VPC) { v.Dividers = tooMany() },
		func(v *VPC) { v.Dividers[1] = v.Dividers[0] },
		func(v *VPC) { v.Dividers[1] = addr("::ffff:192.0.2.7") },
		func(v *VPC) { v.Dividers[1] = addr("fe80::1%eth0") },
	))
	requireRefused(t, r, r.Networks.Put, spoil(validNetwork,
		func(n *Network) { n.VNI = 0 },
		func(n *Network) { n.Prefix = prefix("10.0.0.1/24") },
		func(n *Network) { n.Bouncers = nil },
		func(n *Network) { n.Bouncers = tooMany() },
		func(n *Network) { n.Bouncers[2] = n.Bouncers[0] },
		func(n *Network) { n.Via = addr("10.0.0.1") },
		func(n *Network) { n.Blackhole = true },
		func(n *Network) { n.Bouncers, n.Via = nil, addr("127.0.0.1") },
	))
	requireRefused(t, r, r.Endpoints.Put, badEndpoints())
	requireRefused(t, r, r.Endpoints.Insert, badEndpoints())
	requireRefused(t, r, r.Droplets.Put, spoil(validDroplet,
		func(d *Droplet) { d.Ifindex = 0 },
		func(d *Droplet) { d.Ifindex = -1 },
		func(d *Droplet) { d.Addrs = nil },
		func(d *Droplet) { d.Addrs[1] = d.Addrs[0] },
		func(d *Droplet) { d.Addrs[1] = addr("::ffff:192.0.2.7") },
		func(d *Droplet) { d.MTU = 67 },
		func(d *Droplet) { d.MTU = 1 << 16 },
		func(d *Droplet) { d.MAC = mac[:5] },
		func(d *Droplet) { d.Traffic = 64 },
	))
	requireRefused(t, r, r.Agents.Put, spoil(validAgent,
		func(a *Agent) { a.Ifindex = 1 << 31 },
		func(a *Agent) { a.VNI = 0 },
		func(a *Agent) { a.MAC = nil },
		func(a *Agent) { a.MAC = net.HardwareAddr{1, 0, 0, 0, 0, 1} },
		func(a *Agent) { a.MTU = 0 },
		func(a *Agent) { a.Allowed[0] = prefix("10.9.0.1/16") },
		func(a *Agent) { a.Allowed[0] = prefix("::/0") },
		func(a *Agent) { a.Traffic = 64 },
	))
	requireRefused(t, r, r.Restore.Put, spoil(validSaved,
		func(s *Saved) { s.Ifindex = 0 },
		func(s *Saved) { s.Name = "" },
		func(s *Saved) { s.Name = strings.Repeat("x", 16) },
		func(s *Saved) { s.Name = "eth\x000" },
		func(s *Saved) { s.Role = 0 },
		func(s *Saved) { s.Role = RoleAdopted + 1 },
	))
	requireRefused(t, r, r.Settings.Put, spoil(func() Settings { return Settings{} },
		func(s *Settings) { s.FIBIfindex = -1 },
		func(s *Settings) { s.DirectAge = -time.Second },
		func(s *Settings) { s.PathAge = -time.Second },
		func(s *Settings) { s.Refresh = -time.Second },
	))
}

func badEndpoints() []Endpoint {
	return spoil(validEndpoint,
		func(e *Endpoint) { e.VNI = 0 },
		func(e *Endpoint) { e.VNI = 1 << 24 },
		func(e *Endpoint) { e.Addr = netip.Addr{} },
		func(e *Endpoint) { e.Addr = addr("::ffff:10.0.0.1") },
		func(e *Endpoint) { e.Addr = addr("fe80::1%eth0") },
		func(e *Endpoint) { e.Host = netip.Addr{} },
		func(e *Endpoint) { e.Host = addr("224.0.0.1") },
		func(e *Endpoint) { e.Ifindex = 3 },
		func(e *Endpoint) { e.Host, e.Ifindex = netip.Addr{}, -1 },
		func(e *Endpoint) { e.MAC = mac[:3] },
	)
}

// One row of a bulk call that is invalid: none is written, also not those before it.
func TestInvalidRowOfManyChangesNothing(t *testing.T) {
	r := newRig(t, small())
	empty := r.image(t)
	require.ErrorIs(t, r.Peers.PutAll([]Peer{validPeer(), {}}), ErrInvalid)
	require.ErrorIs(t, r.VPCs.PutAll([]VPC{validVPC(), {}}), ErrInvalid)
	require.ErrorIs(t, r.Networks.PutAll([]Network{validNetwork(), {}}), ErrInvalid)
	require.ErrorIs(t, r.Endpoints.PutAll([]Endpoint{validEndpoint(), {}}), ErrInvalid)
	require.Equal(t, empty, r.image(t))

	r.fill(t)
	full := r.image(t)
	require.ErrorIs(t, r.Peers.DeleteAll([]netip.Prefix{validPeer().Prefix, {}}), ErrInvalid)
	require.ErrorIs(t, r.VPCs.DeleteAll([]uint32{vni, 0}), ErrInvalid)
	require.ErrorIs(t, r.Networks.DeleteAll([]NetworkKey{validNetwork().Key(), {}}), ErrInvalid)
	require.ErrorIs(t, r.Endpoints.DeleteAll([]EndpointKey{validEndpoint().Key(), {}}), ErrInvalid)
	require.Equal(t, full, r.image(t))
}

func TestInvalidKeys(t *testing.T) {
	r := newRig(t, small())
	for name, call := range map[string]func() error{
		"get peer":        func() error { _, err := r.Peers.Get(prefix("::/0")); return err },
		"delete peer":     func() error { return r.Peers.Delete(netip.Prefix{}) },
		"get VPC":         func() error { _, err := r.VPCs.Get(0); return err },
		"delete VPC":      func() error { return r.VPCs.Delete(1 << 24) },
		"get network":     func() error { _, err := r.Networks.Get(NetworkKey{vni, prefix("10.0.0.1/8")}); return err },
		"delete network":  func() error { return r.Networks.Delete(NetworkKey{}) },
		"get endpoint":    func() error { _, err := r.Endpoints.Get(EndpointKey{VNI: vni}); return err },
		"delete endpoint": func() error { return r.Endpoints.Delete(EndpointKey{vni, addr("::ffff:10.0.0.1")}) },
		"get droplet":     func() error { _, err := r.Droplets.Get(0); return err },
		"delete droplet":  func() error { return r.Droplets.Delete(-1) },
		"get agent":       func() error { _, err := r.Agents.Get(0); return err },
		"delete agent":    func() error { return r.Agents.Delete(0) },
		"get direct":      func() error { _, err := r.Directs.Get(EndpointKey{}); return err },
		"delete direct":   func() error { return r.Directs.Delete(EndpointKey{}) },
		"get path":        func() error { _, err := r.Paths.Get(addr("fe80::1%eth0")); return err },
		"delete path":     func() error { return r.Paths.Delete(netip.Addr{}) },
		"get saved":       func() error { _, err := r.Restore.Get(0); return err },
		"delete saved":    func() error { return r.Restore.Delete(0) },
	} {
		require.ErrorIs(t, call(), ErrInvalid, name)
	}
}
