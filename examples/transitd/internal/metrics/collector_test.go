// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/dataplane"
	"github.com/mizar-go/mizar/internal/probe"
	mizartest "github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

// wantTraffic puts what dp.Stats says of an interface beside the labels it has.
func wantTraffic(want series, kind, labels string, t maps.Traffic) {
	for direction, n := range map[string][2]uint64{"receive": {t.RxPackets, t.RxBytes}, "transmit": {t.TxPackets, t.TxBytes}} {
		of := "{direction=\"" + direction + "\"," + labels + "}"
		want["mizar_"+kind+"_packets_total"+of] = float64(n[0])
		want["mizar_"+kind+"_bytes_total"+of] = float64(n[1])
	}
}

// What a scrape shows is what the data-plane has counted, to the packet.
func TestScrape(t *testing.T) {
	mizartest.Leaks(t)
	a, b := newHosts(t)
	ctx := t.Context()
	stats, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
	require.NoError(t, err)
	defer stats.Close()
	web := a.join(t, b, 1, 2)
	b.join(t, a, 2, 1)
	near := a.workload(t, vni, 3, "mznear")
	f, err := a.dp.Function.Load(ctx, "gate", probe.Spec(t, probe.Drop, nil))
	require.NoError(t, err)
	require.NoError(t, f.Close())
	requirePing(t, web, "10.0.0.2", 10)
	requirePing(t, near, "10.0.0.1", 5)
	// A function drops some; some are forged.
	gated := dataplane.Scope{VNI: vni, Addr: netip.MustParseAddr("10.0.0.3")}
	require.NoError(t, a.dp.Stage.Set(ctx, dataplane.StageSend, gated, "gate"))
	require.Equal(t, 4, mizartest.Ping(t, near, netip.Addr{}, netip.MustParseAddr("10.0.0.1"), 4, 100*time.Millisecond).Lost)
	mizartest.Addr(t, web, "wmzworkload", "10.0.0.66/24")
	require.Equal(t, 3, mizartest.Ping(t, web, netip.MustParseAddr("10.0.0.66"), netip.MustParseAddr("10.0.0.2"), 3, 100*time.Millisecond).Lost)
	mizartest.Down(t, a.ns, "eth0") // that nothing more comes
	mizartest.Down(t, a.ns, "mzworkload", "mznear")

	m := newMetrics(t, Config{Dataplane: a.dp, Fill: a.meter(t), Healthy: func(context.Context) bool { return true }, Version: "v1.2.3"})
	got := scrape(t, m)
	want := make(series)
	counted := make(map[string]bool)
	for c, err := range a.dp.Stats.Counters(ctx) {
		require.NoError(t, err)
		labels := fmt.Sprintf("{reason=%q,verdict=\"DROP\"}", c.Name)
		if c.Reason < bpf.TableReasonREASON_DROP_FIRST {
			labels = fmt.Sprintf("{reason=\"\",verdict=%q}", c.Name)
		}
		want["mizar_packets_total"+labels], want["mizar_bytes_total"+labels] = float64(c.Packets), float64(c.Bytes)
		counted[c.Name] = true
	}
	for _, name := range []string{"DELIVER", "DELIVER_LOCAL", "SEND_DIRECT", "DROP_SPOOF_ADDRESS", "gate.probe"} {
		require.True(t, counted[name], "%s: %v", name, want)
	}
	var vpc maps.Traffic
	for e, err := range a.dp.Stats.Endpoints(ctx) {
		require.NoError(t, err)
		require.NotZero(t, e.TxPackets)
		require.NotZero(t, e.RxBytes)
		wantTraffic(want, "endpoint", fmt.Sprintf("interface=%q,vni=\"7\"", e.Interface), e.Traffic)
		vpc = plus(vpc, e.Traffic)
	}
	require.Len(t, got.of("mizar_endpoint_packets_total"), 4)
	wantTraffic(want, "vpc", `vni="7"`, vpc)
	require.Len(t, got.of("mizar_vpc_packets_total"), 2)
	for d, err := range a.dp.Stats.Droplets(ctx) {
		require.NoError(t, err)
		require.NotZero(t, d.TxPackets)
		require.NotZero(t, d.RxPackets)
		wantTraffic(want, "droplet", `interface="eth0"`, d.Traffic)
	}
	lost, err := a.dp.Stats.Lost(ctx)
	require.NoError(t, err)
	want["mizar_events_lost_total{}"] = float64(lost)
	for p, err := range a.dp.Stats.Programs(ctx) {
		require.NoError(t, err)
		of := "{program=\"" + strings.ToLower(p.Hook.String()) + "\"}"
		want["mizar_program_runs_total"+of], want["mizar_program_run_seconds_total"+of] = float64(p.Runs), p.RunTime.Seconds()
	}
	require.NotZero(t, want[`mizar_program_runs_total{program="agent_tcx"}`])
	require.NotZero(t, want[`mizar_program_run_seconds_total{program="transit_tcx"}`])
	tables, err := m.config.Fill.Tables(ctx)
	require.NoError(t, err)
	require.NotEmpty(t, tables)
	for _, table := range tables {
		of := fmt.Sprintf("{table=%q}", table.Name)
		want["mizar_table_entries"+of], want["mizar_table_capacity"+of] = float64(table.Entries), float64(table.Capacity)
	}
	require.EqualValues(t, 3, want[`mizar_table_entries{table="endpoints"}`])
	for _, part := range []string{"counters", "droplets", "endpoints", "events", "health", "programs", "registry", "tables"} {
		want[fmt.Sprintf("mizar_scrape_errors_total{part=%q}", part)] = 0
	}
	want[`mizar_series_dropped{kind="endpoint"}`], want[`mizar_series_dropped{kind="vpc"}`] = 0, 0
	want["mizar_healthy{}"] = 1
	for _, code := range []string{"unauthenticated", "permission_denied", "resource_exhausted"} {
		want[fmt.Sprintf("mizar_rpc_denied_total{code=%q}", code)] = 0
	}
	for key, value := range want {
		require.Contains(t, got, key)
		require.InDelta(t, value, got[key], 0, key)
		delete(got, key)
	}
	// The rest are the library's own reasons at zero, and of Go, the process and the build.
	for key, value := range got {
		switch name, labels, _ := strings.Cut(key, "{"); {
		case name == "mizar_packets_total" || name == "mizar_bytes_total":
			require.Zero(t, value, key)
		case name == "mizar_build_info":
			require.Contains(t, labels, `version="v1.2.3"`)
		case name == "mizar_scrape_duration_seconds":
			require.Less(t, value, 5.0)
			require.Positive(t, value)
		default:
			require.False(t, strings.HasPrefix(name, "mizar_"), key)
		}
	}
	require.Contains(t, got, `mizar_packets_total{reason="DROP_NO_FUNCTION",verdict="DROP"}`)
	require.Contains(t, got, "go_goroutines{}")
	require.Contains(t, got, "process_resident_memory_bytes{}")

	problems, err := testutil.GatherAndLint(m.registry)
	require.NoError(t, err)
	require.Empty(t, problems)
}

// However many endpoints and VPCs there are, series are no more than the bounds say, and nothing is missing in them.
func TestBounds(t *testing.T) {
	mizartest.Leaks(t)
	a, b := newHosts(t)
	a.join(t, b, 1, 2)
	ns := mizartest.NewNS(t)
	const endpoints, vpcs, maxEndpoints, maxVPCs = 30, 6, 10, 3
	create := func(n int) {
		a.endpoint(t, uint32(100+n%vpcs), netip.AddrFrom4([4]byte{10, 0, byte(n), 1}), fmt.Sprintf("mze%d", n), ns)
	}
	require.NoError(t, a.dp.Endpoint.Delete(t.Context(), "mzworkload"))
	for n := range vpcs {
		require.NoError(t, a.dp.VPC.Add(t.Context(), maps.VPC{VNI: uint32(100 + n), Dividers: []netip.Addr{b.addr}}))
	}
	for n := range endpoints {
		create(n)
	}
	send := func() {
		mizartest.In(t, ns, func() error {
			for n := range endpoints {
				conn, err := net.Dial("udp", fmt.Sprintf("10.0.%d.9:9", n))
				if err != nil {
					return err
				}
				for range n + 1 {
					if _, err := conn.Write([]byte("hello")); err != nil {
						return err
					}
				}
				if err := conn.Close(); err != nil {
					return err
				}
			}
			return nil
		})
	}
	m := newMetrics(t, Config{Dataplane: a.dp, MaxEndpoints: maxEndpoints, MaxVPCs: maxVPCs})
	got := scrape(t, m)
	named := func(s series) map[string]bool {
		all := make(map[string]bool)
		for key := range s.of("mizar_endpoint_packets_total", `direction="receive"`) {
			if !strings.Contains(key, `interface="other"`) {
				all[key] = true
			}
		}
		return all
	}
	first := named(got)
	require.Len(t, first, maxEndpoints)
	// Those of each VPC that has series, and of the rest.
	require.Len(t, got.of("mizar_endpoint_packets_total", `direction="receive"`, `interface="other"`), maxVPCs+1)
	require.Len(t, got.of("mizar_vpc_packets_total", `direction="receive"`), maxVPCs+1)
	require.Len(t, got.of("mizar_vpc_packets_total", `direction="receive"`, `vni="other"`), 1)
	require.EqualValues(t, endpoints-maxEndpoints, got[`mizar_series_dropped{kind="endpoint"}`])
	require.EqualValues(t, vpcs-maxVPCs, got[`mizar_series_dropped{kind="vpc"}`])
	count := func() (sum maps.Traffic) {
		for e, err := range a.dp.Stats.Endpoints(t.Context()) {
			require.NoError(t, err)
			sum = plus(sum, e.Traffic)
		}
		return sum
	}
	send()
	const least = endpoints * (endpoints + 1) / 2
	mizartest.Eventually(t, patience, func() error {
		before := count()
		got = scrape(t, m)
		if after := count(); after != before || after.TxPackets < least {
			return fmt.Errorf("still counting: %v, %v", before, after)
		}
		return nil
	})
	for _, kind := range []string{"endpoint", "vpc"} {
		require.EqualValues(t, count().TxPackets, got.of("mizar_"+kind+"_packets_total", `direction="transmit"`).sum(), kind)
		require.EqualValues(t, count().TxBytes, got.of("mizar_"+kind+"_bytes_total", `direction="transmit"`).sum(), kind)
	}

	// More that come take nobody's series; who goes makes room for one.
	create(endpoints)
	got = scrape(t, m)
	require.Equal(t, first, named(got))
	require.EqualValues(t, endpoints+1-maxEndpoints, got[`mizar_series_dropped{kind="endpoint"}`])
	var gone string
	for gone = range first {
		break
	}
	_, name, _ := strings.Cut(gone, `interface="`)
	name, _, _ = strings.Cut(name, `"`)
	require.NoError(t, a.dp.Endpoint.Delete(t.Context(), name))
	got = scrape(t, m)
	require.Len(t, named(got), maxEndpoints)
	require.NotContains(t, named(got), gone)
}

// A scrape that cannot have everything has the rest, and counts what it lacks.
func TestScrapeInPart(t *testing.T) {
	mizartest.Leaks(t)
	a, b := newHosts(t)
	a.join(t, b, 1, 2)
	t.Run("timeout", func(t *testing.T) { requireInTime(t, a) })
	t.Run("closing", func(t *testing.T) { requireScrapesWhileClosing(t, a) })
}

// A scrape has no more time than it is given.
func requireInTime(t *testing.T, a *host) {
	m := newMetrics(t, Config{Dataplane: a.dp, Timeout: time.Nanosecond, Fill: a.meter(t)})
	got := scrape(t, m)
	require.Empty(t, got.of("mizar_endpoint_packets_total"))
	require.Empty(t, got.of("mizar_table_entries"))
	for _, part := range []string{"counters", "endpoints", "tables"} {
		require.EqualValues(t, 1, got[fmt.Sprintf("mizar_scrape_errors_total{part=%q}", part)], part)
	}
	hang := newMetrics(t, Config{Dataplane: a.dp, Timeout: 50 * time.Millisecond, Healthy: func(ctx context.Context) bool {
		<-ctx.Done()
		return false
	}})
	got = scrape(t, hang)
	require.NotEmpty(t, got.of("mizar_packets_total"))
	require.Zero(t, got["mizar_healthy{}"])
	require.EqualValues(t, 1, got[`mizar_scrape_errors_total{part="endpoints"}`])
}

// A scrape lives through the end of the data-plane: it lacks what that had to say, and counts it.
func requireScrapesWhileClosing(t *testing.T, a *host) {
	m := newMetrics(t, Config{Dataplane: a.dp, Fill: a.meter(t)})
	var wg sync.WaitGroup
	stop, begun := make(chan struct{}), make(chan struct{}, 4)
	for range 4 {
		wg.Go(func() {
			for {
				_, err := m.registry.Gather()
				if err != nil {
					t.Error(err)
				}
				select {
				case begun <- struct{}{}:
				default:
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	<-begun
	require.NoError(t, a.dp.Close())
	for range cap(begun) + 4 { // those before, and some after
		<-begun
	}
	close(stop)
	wg.Wait()
	before := scrape(t, m)
	got := scrape(t, m)
	for _, part := range []string{"counters", "droplets", "endpoints", "events", "programs"} {
		key := fmt.Sprintf("mizar_scrape_errors_total{part=%q}", part)
		require.Equal(t, before[key]+1, got[key], part)
	}
	require.Zero(t, got[`mizar_scrape_errors_total{part="tables"}`], "who counts rows looks for himself")
	require.Empty(t, got.of("mizar_packets_total"))
	require.Empty(t, got.of("mizar_endpoint_packets_total"))
	require.Empty(t, got.of("mizar_vpc_packets_total"))
	require.NotEmpty(t, got.of("mizar_table_entries"))
	require.Contains(t, got, "go_goroutines{}")
}

func TestInvalid(t *testing.T) {
	_, err := New(Config{})
	require.ErrorIs(t, err, ErrInvalid)
	_, err = New(Config{Dataplane: new(dataplane.Dataplane), Timeout: -1})
	require.ErrorIs(t, err, ErrInvalid)
}

// What a scrape takes of a host with 200 endpoints, of 100,000 in all.
func BenchmarkScrape(b *testing.B) {
	h, other := newHosts(b)
	h.join(b, other, 1, 2)
	ns := mizartest.NewNS(b)
	for n := range 199 {
		h.endpoint(b, vni, netip.AddrFrom4([4]byte{10, 1, byte(n), 1}), fmt.Sprintf("mze%d", n), ns)
	}
	var rows []maps.Endpoint
	for n := range 100_000 {
		rows = append(rows, maps.Endpoint{VNI: vni, Addr: netip.AddrFrom4([4]byte{11, byte(n >> 16), byte(n >> 8), byte(n)}), Host: other.addr})
	}
	require.NoError(b, h.dp.Endpoint.AddAll(b.Context(), rows))
	meter := h.meter(b)
	began := time.Now()
	_, err := meter.Tables(b.Context())
	require.NoError(b, err)
	b.Logf("rows are counted in %v", time.Since(began))
	m := newMetrics(b, Config{Dataplane: h.dp, Fill: meter})
	b.ReportAllocs()
	for b.Loop() {
		_, err := m.registry.Gather()
		require.NoError(b, err)
	}
}
