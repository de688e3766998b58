// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/dataplane"
	"github.com/mizar-go/mizar/droplet"
	"github.com/mizar-go/mizar/endpoint"
	"github.com/mizar-go/mizar/examples/transitd/internal/fill"
	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

const (
	vni      = 7
	patience = 10 * time.Second
)

// host is a network namespace with an uplink and a data-plane.
type host struct {
	ns     *netns.Handle
	config dataplane.Config
	dp     *dataplane.Dataplane // since join
	addr   netip.Addr
}

// newHosts makes two on one wire, without a data-plane yet, of which nothing is left after the test.
func newHosts(t testing.TB) (a, b *host) {
	t.Helper()
	testutil.Root(t)
	bpffs := testutil.BPFFS(t)
	a = &host{ns: testutil.NewNS(t), addr: netip.MustParseAddr("192.0.2.1")}
	b = &host{ns: testutil.NewNS(t), addr: netip.MustParseAddr("192.0.2.2")}
	testutil.Veth(t, a.ns, "eth0", b.ns, "eth0")
	for name, h := range map[string]*host{"a": a, "b": b} {
		testutil.Addr(t, h.ns, "eth0", h.addr.String()+"/24")
		testutil.Up(t, h.ns, "eth0")
		h.config = dataplane.Config{Name: name, BPFFS: bpffs, NetNS: fmt.Sprintf("/proc/self/fd/%d", h.ns.FD()),
			Limits: bpf.Limits{Endpoints: 1 << 17, Networks: 64, VPCs: 64, Sets: 64, Peers: 64, Agents: 1024, Allowed: 64, Directs: 1024, Paths: 64, Traffic: 1024}}
	}
	testutil.Ready(t, a.ns, "eth0")
	testutil.Ready(t, b.ns, "eth0")
	return a, b
}

// join gives a host a data-plane, a droplet, a workload at 10.0.0.n, and the way to the one at 10.0.0.m on the other.
func (h *host) join(t testing.TB, other *host, n, m byte) (workload *netns.Handle) {
	t.Helper()
	ctx := t.Context()
	hosts := []netip.Addr{other.addr}
	var err error
	h.dp, err = dataplane.Open(ctx, h.config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, h.dp.Close()) })
	_, err = h.dp.Droplet.Attach(ctx, droplet.Config{Interface: "eth0", Mode: droplet.TCX})
	require.NoError(t, err)
	require.NoError(t, h.dp.Peer.Add(ctx, maps.Peer{Prefix: netip.MustParsePrefix("192.0.2.0/24")}))
	require.NoError(t, h.dp.VPC.Add(ctx, maps.VPC{VNI: vni, Dividers: hosts}))
	require.NoError(t, h.dp.Network.Add(ctx, maps.Network{VNI: vni, Prefix: netip.MustParsePrefix("10.0.0.0/24"), Bouncers: hosts}))
	require.NoError(t, h.dp.Endpoint.Add(ctx, maps.Endpoint{VNI: vni, Addr: netip.AddrFrom4([4]byte{10, 0, 0, m}), Host: other.addr}))
	return h.workload(t, vni, n, "mzworkload")
}

// workload has a namespace, and an interface of this name on the host's side.
func (h *host) workload(t testing.TB, vni uint32, n byte, name string) *netns.Handle {
	t.Helper()
	ns := testutil.NewNS(t)
	h.endpoint(t, vni, netip.AddrFrom4([4]byte{10, 0, 0, n}), name, ns)
	return ns
}

func (h *host) endpoint(t testing.TB, vni uint32, addr netip.Addr, name string, ns *netns.Handle) {
	t.Helper()
	_, err := h.dp.Endpoint.Create(t.Context(), endpoint.Config{VNI: vni, Addrs: []netip.Prefix{netip.PrefixFrom(addr, 24)},
		Routes: []endpoint.Route{}, NetNS: endpoint.FD(ns.FD()), Interface: "w" + name, HostInterface: name, Mode: endpoint.TCX})
	require.NoError(t, err)
}

// meter counts the rows of a host's tables.
func (h *host) meter(t testing.TB) *fill.Meter {
	t.Helper()
	m := fill.New(fill.Config{Instance: h.config.Name, BPFFS: h.config.BPFFS})
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	return m
}

// requirePing sends pings there and back, all of which are answered.
func requirePing(t testing.TB, from *netns.Handle, to string, count int) {
	t.Helper()
	dst := netip.MustParseAddr(to)
	testutil.Eventually(t, patience, func() error {
		if r := testutil.Ping(t, from, netip.Addr{}, dst, 1, time.Second); r.Lost != 0 {
			return fmt.Errorf("%v does not answer: %v", dst, r.Errors)
		}
		return nil
	})
	r := testutil.Ping(t, from, netip.Addr{}, dst, count, patience)
	require.Zero(t, r.Lost, r.Errors)
}

// series are the values of metrics by name and labels, as in name{a="b",c="d"}.
type series map[string]float64

// scrape gathers what is shown, but that of Go and the process.
func scrape(t testing.TB, m *Metrics) series {
	t.Helper()
	all, err := m.registry.Gather()
	require.NoError(t, err)
	got := make(series)
	for _, family := range all {
		for _, metric := range family.GetMetric() {
			name := family.GetName() + "{"
			for i, l := range metric.GetLabel() {
				if i > 0 {
					name += ","
				}
				name += fmt.Sprintf("%s=%q", l.GetName(), l.GetValue())
			}
			name += "}"
			switch {
			case metric.GetCounter() != nil:
				got[name] = metric.GetCounter().GetValue()
			case metric.GetGauge() != nil:
				got[name] = metric.GetGauge().GetValue()
			case metric.GetHistogram() != nil:
				got[name] = float64(metric.GetHistogram().GetSampleCount())
			}
		}
	}
	return got
}

// of selects by name and by some labels.
func (s series) of(name string, labels ...string) series {
	got := make(series)
	for k, v := range s {
		if matches(k, name, labels) {
			got[k] = v
		}
	}
	return got
}

func matches(key, name string, labels []string) bool {
	rest, ok := strings.CutPrefix(key, name+"{")
	for _, l := range labels {
		ok = ok && (strings.Contains(","+rest, ","+l+",") || strings.Contains(","+rest, ","+l+"}"))
	}
	return ok
}

func (s series) sum() (sum float64) {
	for _, v := range s {
		sum += v
	}
	return sum
}

// newMetrics registers with a registry that checks what a collector says of itself.
func newMetrics(t testing.TB, c Config) *Metrics {
	t.Helper()
	m, err := New(c)
	require.NoError(t, err)
	pedantic := prometheus.NewPedanticRegistry()
	require.NoError(t, pedantic.Register(newCollector(m.config, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "mizar_scrape_errors_total", Help: "h"}, []string{"part"}))))
	_, err = pedantic.Gather()
	require.NoError(t, err)
	return m
}
