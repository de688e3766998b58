// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/droplet"
	"github.com/mizar-go/mizar/endpoint"
	"github.com/mizar-go/mizar/internal/ethtool"
	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

const vni = 7

var (
	underlay = netip.MustParsePrefix("192.0.2.0/24")
	overlay  = netip.MustParsePrefix("10.0.0.0/24")

	addrA = netip.MustParseAddr("192.0.2.1")
	addrB = netip.MustParseAddr("192.0.2.2")
)

// host is a network namespace with an interface on the underlay, and a place for pins.
type host struct {
	ns    *netns.Handle
	bpffs string
	name  string     // of its instance
	addr  netip.Addr // of eth0
}

// newHost makes a host whose eth0 leads nowhere.
func newHost(t testing.TB) *host {
	t.Helper()
	a, _ := newHosts(t)
	return a
}

// newHosts makes two hosts on one wire. They share a bpffs.
func newHosts(t testing.TB) (a, b *host) {
	t.Helper()
	bpffs := testutil.BPFFS(t)
	a = &host{ns: testutil.NewNS(t), bpffs: bpffs, name: "a", addr: addrA}
	b = &host{ns: testutil.NewNS(t), bpffs: bpffs, name: "b", addr: addrB}
	testutil.Veth(t, a.ns, "eth0", b.ns, "eth0")
	for _, h := range []*host{a, b} {
		testutil.Addr(t, h.ns, "eth0", h.addr.String()+"/24")
		testutil.Up(t, h.ns, "eth0")
	}
	testutil.Ready(t, a.ns, "eth0")
	testutil.Ready(t, b.ns, "eth0")
	return a, b
}

// likeNIC makes a veth what a NIC is to a host at its other end that runs native XDP. What that host sends
// arrives only where there is NAPI, and it takes whole packets only, with their checksums.
func likeNIC(t testing.TB, ns *netns.Handle, name string) {
	t.Helper()
	testutil.In(t, ns, func() error {
		return ethtool.Set(name, map[string]bool{
			"rx-gro": true, "tx-checksum-ip-generic": false,
			"tx-tcp-segmentation": false, "tx-tcp6-segmentation": false, "tx-udp-segmentation": false,
		})
	})
}

// fdPath names a namespace by a path, as a caller would.
func fdPath(fd int) string { return fmt.Sprintf("/proc/self/fd/%d", fd) }

func (h *host) config() Config {
	return Config{
		Name: h.name, NetNS: fdPath(h.ns.FD()), BPFFS: h.bpffs,
		Limits: bpf.Limits{Endpoints: 1024, Networks: 64, VPCs: 64, Sets: 64, Peers: 64, Agents: 64, Allowed: 64, Directs: 1024, Paths: 64, Traffic: 64},
	}
}

// open opens the host's instance; closing is the caller's.
func (h *host) open(t testing.TB) *Dataplane {
	t.Helper()
	dp, err := Open(t.Context(), h.config())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, dp.Close()) })
	return dp
}

// pins are where the host's instance has its.
func (h *host) pins() pins { return newPins(h.bpffs, h.name) }

// files lists all that is pinned, of all instances.
func (h *host) files(t testing.TB) []string {
	t.Helper()
	return slices.DeleteFunc(entries(t, h.bpffs), func(name string) bool {
		return strings.Contains(name, ".") // the kernel's own
	})
}

// entries are the names in a directory.
func entries(t testing.TB, dir string) []string {
	t.Helper()
	all, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, e := range all {
		names = append(names, e.Name())
	}
	return names
}

// destroy opens the host's instance and destroys it.
func (h *host) destroy(t testing.TB) {
	t.Helper()
	dp, err := Open(t.Context(), h.config())
	require.NoError(t, err)
	require.NoError(t, dp.Destroy(t.Context()))
}

// contents is what fill puts into an instance.
type contents struct {
	peer    maps.Peer
	vpc     maps.VPC
	network maps.Network
	remote  maps.Endpoint
	local   netip.Prefix
}

// contentsOf gives the endpoint on host n the address 10.0.0.n, and has the other be on the other host.
func contentsOf(h, other *host, n, m int) contents {
	return contents{
		peer:    maps.Peer{Prefix: underlay, Cookie: 1},
		vpc:     maps.VPC{VNI: vni, Dividers: []netip.Addr{other.addr}, Cookie: 2},
		network: maps.Network{VNI: vni, Prefix: overlay, Bouncers: []netip.Addr{other.addr}, Cookie: 3},
		remote:  maps.Endpoint{VNI: vni, Addr: netip.AddrFrom4([4]byte{10, 0, 0, byte(m)}), Host: other.addr, Cookie: 4},
		local:   netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(n)}), 24),
	}
}

// inEachMode runs a test in each mode that a veth can do.
func inEachMode(t *testing.T, test func(t *testing.T, mode droplet.Mode)) {
	t.Helper()
	for _, mode := range []droplet.Mode{droplet.TCX, droplet.Native, droplet.Generic} {
		t.Run(mode.String(), func(t *testing.T) {
			testutil.Leaks(t)
			test(t, mode)
		})
	}
}

// agentMode is how agents are attached beside a droplet of a mode.
func agentMode(droplet droplet.Mode) endpoint.Mode {
	if droplet.XDP() {
		return droplet
	}
	return endpoint.TCX
}

// fill makes a droplet of eth0, an endpoint in the workload's namespace, and a row in each table.
func (c contents) fill(ctx context.Context, dp *Dataplane, mode droplet.Mode, workload endpoint.NetNS) error {
	_, attach := dp.Droplet.Attach(ctx, droplet.Config{Interface: "eth0", Mode: mode, Cookie: 5})
	_, create := dp.Endpoint.Create(ctx, endpoint.Config{
		VNI: vni, Addrs: []netip.Prefix{c.local}, NetNS: workload, HostInterface: "mzworkload", Cookie: 6, Mode: agentMode(mode),
	})
	return errors.Join(attach, create,
		dp.Peer.Add(ctx, c.peer), dp.VPC.Add(ctx, c.vpc), dp.Network.Add(ctx, c.network), dp.Endpoint.Add(ctx, c.remote))
}

// requireFilled checks that an instance holds what fill put there.
func (c contents) requireFilled(t testing.TB, dp *Dataplane) {
	t.Helper()
	ctx := t.Context()
	peer, err := dp.Peer.Get(ctx, c.peer.Prefix)
	require.NoError(t, err)
	require.Equal(t, c.peer, peer)
	vpc, err := dp.VPC.Get(ctx, vni)
	require.NoError(t, err)
	require.Equal(t, c.vpc, vpc)
	network, err := dp.Network.Get(ctx, c.network.Key())
	require.NoError(t, err)
	require.Equal(t, c.network, network)
	remote, err := dp.Endpoint.Get(ctx, c.remote.Key())
	require.NoError(t, err)
	require.Equal(t, c.remote, remote)
	d, err := dp.Droplet.Get(ctx, "eth0")
	require.NoError(t, err)
	require.Equal(t, uint64(5), d.Cookie)
	require.False(t, d.Gone || d.Partial)
	local := collect(t, dp.Endpoint.Local(ctx))
	require.Len(t, local, 1)
	require.Equal(t, []netip.Addr{c.local.Addr()}, local[0].Addrs)
	require.Equal(t, uint64(6), local[0].Cookie)
	require.False(t, local[0].Gone)
}

// collect takes all items of an iterator that must not fail.
func collect[T any](t testing.TB, items func(func(T, error) bool)) []T {
	t.Helper()
	var all []T
	for item, err := range items {
		require.NoError(t, err)
		all = append(all, item)
	}
	return all
}

// logCounters says what the hosts did with their packets.
func logCounters(t testing.TB, hosts ...*host) {
	t.Helper()
	for _, h := range hosts {
		v, err := InspectAt(h.bpffs, h.name)
		if err != nil {
			t.Logf("%s: %v", h.name, err)
			continue
		}
		for c, err := range v.Stats.Counters(context.Background()) {
			t.Logf("%s: %v %d %v", h.name, c.Reason, c.Packets, err)
		}
		require.NoError(t, v.Close())
	}
}

// settings is what there is to see of an interface.
type settings struct {
	Name     string
	MTU      int
	GSO, GRO uint32
	Features ethtool.Features
	Qdiscs   []string
	XDP      bool
}

// interfaces tells what interfaces a namespace has, and how they are set.
func interfaces(t testing.TB, ns *netns.Handle) []settings {
	t.Helper()
	var all []settings
	testutil.In(t, ns, func() error {
		links, err := netlink.LinkList()
		if err != nil {
			return err
		}
		for _, l := range links {
			a := l.Attrs()
			s := settings{Name: a.Name, MTU: a.MTU, GSO: a.GSOMaxSize, GRO: a.GROMaxSize, XDP: a.Xdp != nil && a.Xdp.Attached}
			if s.Features, err = ethtool.Get(a.Name); err != nil {
				return err
			}
			qdiscs, err := netlink.QdiscList(l)
			if err != nil {
				return err
			}
			for _, q := range qdiscs {
				s.Qdiscs = append(s.Qdiscs, q.Type())
			}
			all = append(all, s)
		}
		return nil
	})
	return all
}
