// SPDX-License-Identifier: Apache-2.0

package plumb

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/dataplane"
	"github.com/mizar-go/mizar/droplet"
	"github.com/mizar-go/mizar/endpoint"
	"github.com/mizar-go/mizar/examples/transitd/internal/ovs"
	"github.com/mizar-go/mizar/examples/transitd/internal/ovs/ovstest"
	"github.com/mizar-go/mizar/internal/ethtool"
	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/snapshot"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

const vni = 7

// overlayMTU is what 1500 bytes of IPv4 leave.
const overlayMTU = 1426

// world is two hosts on a wire. Host b has an endpoint of the plain kind, 10.0.0.9; behind a bridge of host a
// there will be workloads.
type world struct {
	t      testing.TB
	a, b   *netns.Handle
	far    *netns.Handle // workload of b
	dpA    *dataplane.Dataplane
	dpB    *dataplane.Dataplane
	p      *Plumber
	served map[netip.Addr]netip.AddrPort // of far
}

var (
	hostA = netip.MustParseAddr("192.0.2.1")
	hostB = netip.MustParseAddr("192.0.2.2")
	far4  = netip.MustParseAddr("10.0.0.9")
	far6  = netip.MustParseAddr("2001:db8:7::9")
)

func newWorld(t testing.TB, client func(a *netns.Handle) *ovs.Client) *world {
	t.Helper()
	testutil.Root(t)
	testutil.Leaks(t)
	w := &world{t: t, a: testutil.NewNS(t), b: testutil.NewNS(t), far: testutil.NewNS(t), served: make(map[netip.Addr]netip.AddrPort)}
	testutil.Veth(t, w.a, "eth0", w.b, "eth0")
	testutil.Addr(t, w.a, "eth0", hostA.String()+"/24")
	testutil.Addr(t, w.b, "eth0", hostB.String()+"/24")
	testutil.Up(t, w.a, "eth0")
	testutil.Up(t, w.b, "eth0")
	testutil.Ready(t, w.a, "eth0")
	var c *ovs.Client
	if client != nil {
		c = client(w.a)
	}
	w.p = plumber(t, w.a, "blue", c)
	bpffs := testutil.BPFFS(t)
	// At once, as the kernel's verifier takes its time.
	var both errgroup
	both.run(func() (err error) { w.dpA, err = open(t.Context(), w.a, bpffs, "a"); return err })
	both.run(func() (err error) { w.dpB, err = open(t.Context(), w.b, bpffs, "b"); return err })
	require.NoError(t, both.wait())
	w.furnish(w.dpA)
	w.furnish(w.dpB)
	_, err := w.dpB.Endpoint.Create(t.Context(), endpoint.Config{
		VNI: vni, NetNS: endpoint.FD(w.far.FD()), Addrs: []netip.Prefix{netip.PrefixFrom(far4, 24), netip.PrefixFrom(far6, 64)},
	})
	require.NoError(t, err)
	for _, addr := range []netip.Addr{far4, far6} {
		require.NoError(t, w.dpA.Endpoint.Add(t.Context(), maps.Endpoint{VNI: vni, Addr: addr, Host: hostB}))
		w.served[addr] = testutil.EchoTCP(t, w.far, netip.AddrPortFrom(addr, 0))
	}
	return w
}

// plumber is one in a namespace.
func plumber(t testing.TB, ns *netns.Handle, instance string, c *ovs.Client) *Plumber {
	t.Helper()
	p, err := New(Options{Instance: instance, NetNS: fdPath(ns), OVS: c})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p
}

func fdPath(ns *netns.Handle) string { return fmt.Sprintf("/proc/self/fd/%d", ns.FD()) }

func open(ctx context.Context, ns *netns.Handle, bpffs, name string) (*dataplane.Dataplane, error) {
	return dataplane.Open(ctx, dataplane.Config{
		Name: name, NetNS: fdPath(ns), BPFFS: bpffs,
		Limits: bpf.Limits{Endpoints: 1024, Networks: 64, VPCs: 64, Sets: 64, Peers: 64, Agents: 64, Allowed: 64, Directs: 1024, Paths: 64, Traffic: 64},
	})
}

// furnish tells a data-plane of the other host.
func (w *world) furnish(dp *dataplane.Dataplane) {
	w.t.Helper()
	w.t.Cleanup(func() { require.NoError(w.t, dp.Close()) })
	require.NoError(w.t, dp.Peer.Add(w.t.Context(), maps.Peer{Prefix: netip.PrefixFrom(hostA, 24).Masked()}))
	_, err := dp.Droplet.Attach(w.t.Context(), droplet.Config{Interface: "eth0", Mode: droplet.TCX})
	require.NoError(w.t, err)
	require.NoError(w.t, dp.VPC.Add(w.t.Context(), maps.VPC{VNI: vni, Dividers: []netip.Addr{hostB}}))
	for _, prefix := range []string{"10.0.0.0/24", "2001:db8:7::/64"} {
		require.NoError(w.t, dp.Network.Add(w.t.Context(), maps.Network{VNI: vni, Prefix: netip.MustParsePrefix(prefix), Bouncers: []netip.Addr{hostB}}))
	}
}

// errgroup runs functions at once.
type errgroup struct {
	all  sync.WaitGroup
	mu   sync.Mutex
	errs []error
}

func (g *errgroup) run(f func() error) {
	g.all.Go(func() {
		err := f()
		g.mu.Lock()
		defer g.mu.Unlock()
		g.errs = append(g.errs, err)
	})
}

func (g *errgroup) wait() error {
	g.all.Wait()
	return errors.Join(g.errs...)
}

// workload is something at a bridge of host a, which the data-plane knows nothing of.
type workload struct {
	*netns.Handle
	port string // its end in host a
	mac  net.HardwareAddr
	four netip.Prefix
	six  netip.Prefix
}

// workload makes number n, with its port not at a bridge yet. Whole: it sends whole packets only, as who is at a
// datapath in user space has to.
func (w *world) workload(n int, whole bool) *workload {
	w.t.Helper()
	l := &workload{
		Handle: testutil.NewNS(w.t), port: fmt.Sprintf("w%d", n),
		four: netip.MustParsePrefix(fmt.Sprintf("10.0.0.%d/24", n)), six: netip.MustParsePrefix(fmt.Sprintf("2001:db8:7::%d/64", n)),
	}
	testutil.Veth(w.t, w.a, l.port, l.Handle, "eth0")
	if whole {
		testutil.In(w.t, l.Handle, func() error {
			return ethtool.Set("eth0", map[string]bool{"tx-checksum-ip-generic": false, "tx-tcp-segmentation": false, "tx-tcp6-segmentation": false, "tx-udp-segmentation": false})
		})
	}
	testutil.Sysctl(w.t, w.a, "net/ipv6/conf/"+l.port+"/disable_ipv6", "1")
	testutil.Up(w.t, w.a, l.port)
	testutil.Up(w.t, l.Handle, "eth0")
	testutil.MTU(w.t, l.Handle, overlayMTU, "eth0")
	testutil.Addr(w.t, l.Handle, "eth0", l.four.String(), l.six.String())
	l.mac = testutil.Link(w.t, l.Handle, "eth0").Attrs().HardwareAddr
	return l
}

// plug makes an endpoint for a workload at a port, in the order that the daemon does.
func (w *world) plug(l *workload, t Port) {
	w.t.Helper()
	outcome, err := w.p.AddPort(w.t.Context(), t)
	require.NoError(w.t, err)
	require.Equal(w.t, Added, outcome)
	e, err := w.dpA.Endpoint.Create(w.t.Context(), endpoint.Config{
		VNI: vni, Adopt: true, HostInterface: t.HostInterface, MAC: l.mac, MTU: overlayMTU, Addrs: []netip.Prefix{l.four, l.six},
	})
	require.NoError(w.t, err)
	require.Equal(w.t, l.mac, e.MAC)
	require.NoError(w.t, w.p.OpenPort(w.t.Context(), t.HostInterface))
	testutil.Ready(w.t, w.a, t.HostInterface)
	for _, p := range []netip.Prefix{l.four, l.six} {
		require.NoError(w.t, w.dpB.Endpoint.Add(w.t.Context(), maps.Endpoint{VNI: vni, Addr: p.Addr(), Host: hostA}))
	}
	outcome, err = w.p.AddPort(w.t.Context(), t)
	require.NoError(w.t, err)
	require.Equal(w.t, Unchanged, outcome, "also with the library's offloads")
}

// unplug undoes plug.
func (w *world) unplug(t Port) {
	w.t.Helper()
	require.NoError(w.t, w.p.ShutPort(w.t.Context(), t.HostInterface))
	require.NoError(w.t, w.dpA.Endpoint.Delete(w.t.Context(), t.HostInterface))
	require.NoError(w.t, w.p.RemovePort(w.t.Context(), t.HostInterface))
}

// requireTraffic checks pings of all sizes, both ways, and long TCP streams.
func (w *world) requireTraffic(l *workload) {
	w.t.Helper()
	for _, dst := range []netip.Addr{far4, far6} {
		headers, back := 28, l.four.Addr()
		if dst.Is6() {
			headers, back = 48, l.six.Addr()
		}
		for _, size := range []int{0, overlayMTU - headers} {
			ping := testutil.PingConfig{Dst: dst, Count: 2, Size: size, DontFragment: true, Timeout: 3 * time.Second}
			r := testutil.StartPing(w.t, l.Handle, ping).Wait()
			require.Zero(w.t, r.Lost, "%s, %d bytes: %v", dst, size, r.Errors)
			require.Zero(w.t, r.Duplicates)
			ping.Dst = back
			r = testutil.StartPing(w.t, w.far, ping).Wait()
			require.Zero(w.t, r.Lost, "from %s, %d bytes: %v", dst, size, r.Errors)
			require.Zero(w.t, r.Duplicates)
		}
		c, err := testutil.DialTCP(w.t, l.Handle, netip.Addr{}, w.served[dst], 5*time.Second)
		require.NoError(w.t, err)
		require.NoError(w.t, testutil.Exchange(c, 1<<20, 10*time.Second), "%s", dst)
		require.NoError(w.t, c.Close())
	}
}

// requireNone checks that there is no way between a workload and an address.
func (w *world) requireNone(from *workload, to netip.Addr) {
	w.t.Helper()
	require.Equal(w.t, 1, testutil.Ping(w.t, from.Handle, netip.Addr{}, to, 1, 300*time.Millisecond).Lost)
}

// Two workloads behind one Linux bridge reach another host, and each other.
func TestTrafficOverBridge(t *testing.T) {
	w := newWorld(t, nil)
	before := snapshot.Network(t, w.a)
	x, y := w.workload(1, false), w.workload(2, false)
	_, err := w.p.AddBridge(t.Context(), Bridge{Name: "br0", Ports: []string{x.port, y.port}})
	require.NoError(t, err)
	px, py := Port{HostInterface: "ep1", Bridge: "br0"}, Port{HostInterface: "ep2", Bridge: "br0", Interface: "br0-ep2"}
	w.plug(x, px)
	w.plug(y, py)
	w.requireTraffic(x)
	w.requireTraffic(y)
	w.requireTraffic(x) // also after the other one
	r := testutil.Ping(t, x.Handle, netip.Addr{}, y.four.Addr(), 3, time.Second)
	require.Zero(t, r.Lost)
	require.Zero(t, r.Duplicates)

	require.ErrorIs(t, w.p.RemoveBridge(t.Context(), "br0"), ErrInUse)
	w.unplug(px)
	w.requireNone(x, far4)
	w.requireTraffic(y)
	w.unplug(py)
	require.NoError(t, w.p.RemoveBridge(t.Context(), "br0"))
	testutil.Delete(t, w.a, x.port, y.port)
	require.Equal(t, before, snapshot.Network(t, w.a))
}

// The same behind a bridge of Open vSwitch, wired or not, in a VLAN or not; also after ovs-vswitchd was killed.
func TestTrafficOverOVS(t *testing.T) {
	testutil.Root(t)
	var sw *ovstest.Switch
	w := newWorld(t, func(a *netns.Handle) *ovs.Client {
		sw = ovstest.Start(t, a.Do)
		sw.Bridge("br0")
		sw.Bridge("br1")
		sw.Vsctl("add-port", "br0", "to-br1", "--", "set", "interface", "to-br1", "type=patch", "options:peer=to-br0")
		sw.Vsctl("add-port", "br1", "to-br0", "--", "set", "interface", "to-br0", "type=patch", "options:peer=to-br1")
		c, err := ovs.New(ovs.Options{Instance: "blue", Socket: sw.Socket()})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, c.Close()) })
		return c
	})
	for name, tc := range map[string]struct {
		tag   uint16
		trunk bool // the workloads are behind a port that bears VLANs
		wired bool
	}{
		"bridge":             {},
		"bridge, VLAN":       {tag: 5},
		"bridge, trunk":      {tag: 5, trunk: true},
		"wired":              {wired: true},
		"wired, VLAN":        {tag: 5, wired: true},
		"wired, VLAN, trunk": {tag: 5, trunk: true, wired: true},
	} {
		t.Run(name, func(t *testing.T) {
			defer func(outer testing.TB) { w.t = outer }(w.t)
			w.t = t
			before := snapshot.Network(t, w.a)
			flows := sw.Ofctl("dump-flows", "br0", "--no-stats")
			x, other := w.workload(1, true), w.workload(2, true)
			bridge := "br0"
			if tc.trunk {
				bridge = "br1"
			}
			for _, l := range []*workload{x, other} {
				sw.Vsctl("add-port", bridge, l.port)
				if tc.tag != 0 {
					sw.Vsctl("set", "port", l.port, fmt.Sprintf("tag=%d", tc.tag))
				}
			}
			port := Port{HostInterface: "ep1", OVS: &OVSPort{Bridge: "br0", Tag: tc.tag}}
			switch {
			case tc.wired && tc.trunk:
				port.OVS.Workload = "to-br1"
			case tc.wired:
				port.OVS.Workload = x.port
			}
			w.plug(x, port)
			w.requireTraffic(x)
			if tc.wired && !tc.trunk {
				w.requireNone(other, x.four.Addr())
			}
			sw.StopDaemon()
			w.requireNone(x, far4)
			sw.StartDaemon()
			testutil.Eventually(t, 10*time.Second, func() error {
				_, err := w.p.AddPort(t.Context(), port)
				return err
			})
			w.requireTraffic(x)
			w.unplug(port)
			w.requireNone(x, far4)
			for _, l := range []*workload{x, other} {
				sw.Vsctl("del-port", l.port)
				testutil.Delete(t, w.a, l.port)
			}
			require.Equal(t, flows, sw.Ofctl("dump-flows", "br0", "--no-stats"))
			require.Equal(t, before, snapshot.Network(t, w.a))
		})
	}
}
