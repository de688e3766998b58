// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/dataplane"
	"github.com/mizar-go/mizar/examples/transitd/internal/fill"
	"github.com/mizar-go/mizar/maps"
)

// fillWait is how long a scrape waits for a count of rows; it shows the one before where that takes longer.
const fillWait = time.Second

// other is the label of what has no series of its own.
const other = "other"

// What is shown of a data-plane.
var (
	packets = describe("packets_total", "Packets by verdict, and dropped ones by reason.", "verdict", "reason")
	bytes   = describe("bytes_total", "Bytes of frames by verdict, and dropped ones by reason.", "verdict", "reason")

	vpcPackets = describe("vpc_packets_total",
		"Packets that endpoints of a VPC on this host were sent (receive) and that were accepted from them (transmit).", "vni", "direction")
	vpcBytes = describe("vpc_bytes_total",
		"Bytes that endpoints of a VPC on this host were sent (receive) and that were accepted from them (transmit).", "vni", "direction")
	endpointPackets = describe("endpoint_packets_total",
		"Packets that an endpoint of this host was sent (receive) and that were accepted from it (transmit).", "vni", "interface", "direction")
	endpointBytes = describe("endpoint_bytes_total",
		"Bytes that an endpoint of this host was sent (receive) and that were accepted from it (transmit).", "vni", "interface", "direction")
	dropletPackets = describe("droplet_packets_total",
		"Tunnel packets that a droplet has taken (receive) and sent (transmit).", "interface", "direction")
	dropletBytes = describe("droplet_bytes_total",
		"Bytes of tunnel packets that a droplet has taken (receive) and sent (transmit).", "interface", "direction")
	seriesDropped = describe("series_dropped",
		"How many endpoints or VPCs have no series of their own, as there are too many, and are in the one called other.", "kind")

	tableEntries  = describe("table_entries", "Rows of a table.", "table")
	tableCapacity = describe("table_capacity", "How many rows a table has room for.", "table")

	eventsLost = describe("events_lost_total", "Sampled drops that nobody was told of: too many came, or nobody read them.")

	programRuns    = describe("program_runs_total", "Packets that a program was run for, while the kernel counted.", "program")
	programSeconds = describe("program_run_seconds_total", "Time that a program ran, while the kernel counted.", "program")

	healthy  = describe("healthy", "Whether the daemon does what it is for: 1 or 0.")
	duration = describe("scrape_duration_seconds", "How long it took to read all this but what is of Go and the process.")

	descriptions = []*prometheus.Desc{packets, bytes, vpcPackets, vpcBytes, endpointPackets, endpointBytes,
		dropletPackets, dropletBytes, seriesDropped, tableEntries, tableCapacity, eventsLost, programRuns, programSeconds,
		healthy, duration}
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("mizar_"+name, help, labels, nil)
}

// collector reads a data-plane at each scrape.
type collector struct {
	config Config
	errors *prometheus.CounterVec
	parts  []part

	mu    sync.Mutex // one scrape at a time: each goes on from the one before
	tally *tally
}

// part is what is read by itself, so that one that fails leaves the others.
type part struct {
	name string
	read func(ctx context.Context, to sink) error
}

// sink takes metrics.
type sink chan<- prometheus.Metric

func (s sink) counter(d *prometheus.Desc, value float64, labels ...string) {
	s <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, value, labels...)
}

func (s sink) gauge(d *prometheus.Desc, value float64, labels ...string) {
	s <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

// traffic has two counters of two directions each.
func (s sink) traffic(packets, bytes *prometheus.Desc, t maps.Traffic, labels ...string) {
	receive := append(labels[:len(labels):len(labels)], "receive")
	transmit := append(labels[:len(labels):len(labels)], "transmit")
	s.counter(packets, float64(t.RxPackets), receive...)
	s.counter(packets, float64(t.TxPackets), transmit...)
	s.counter(bytes, float64(t.RxBytes), receive...)
	s.counter(bytes, float64(t.TxBytes), transmit...)
}

func newCollector(c Config, errors *prometheus.CounterVec) *collector {
	collector := &collector{config: c, errors: errors, tally: newTally(max(c.MaxEndpoints, 0), max(c.MaxVPCs, 0))}
	// Those that may take long come last: what is short of time then is not the rest.
	collector.parts = []part{
		{"counters", collector.counters},
		{"events", collector.events},
		{"programs", collector.programs},
		{"droplets", collector.droplets},
		{"health", collector.health},
		{"endpoints", collector.endpoints},
		{"tables", collector.tables},
	}
	for _, p := range collector.parts {
		errors.WithLabelValues(p.name)
	}
	errors.WithLabelValues("registry")
	return collector
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	c.errors.Describe(to)
	for _, d := range descriptions {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), c.config.Timeout)
	defer cancel()
	for _, p := range c.parts {
		if err := p.read(ctx, to); err != nil {
			c.errors.WithLabelValues(p.name).Inc()
			c.config.Logger.Warn("scrape lacks something", "part", p.name, "error", err)
		}
	}
	sink(to).gauge(duration, time.Since(began).Seconds())
	c.errors.Collect(to)
}

// counters shows the library's own reasons also where they never came up: the first drop is a rise then, and not
// a series that was not there.
func (c *collector) counters(ctx context.Context, to sink) error {
	type key struct{ verdict, reason string }
	type count struct{ packets, bytes uint64 }
	all := make(map[key]count)
	of := func(reason bpf.Reason, name string) key {
		if reason < bpf.TableReasonREASON_DROP_FIRST {
			return key{verdict: name}
		}
		return key{"DROP", valid(name)}
	}
	for reason := bpf.TableReasonREASON_PASS; reason < bpf.TableReasonREASON_FUNCTION_FIRST; reason++ {
		if name := reason.String(); !strings.ContainsRune(name, '(') { // a number that has no name
			all[of(reason, name)] = count{}
		}
	}
	for n, err := range c.config.Dataplane.Stats.Counters(ctx) {
		if err != nil {
			return err
		}
		k := of(n.Reason, n.Name)
		all[k] = count{all[k].packets + n.Packets, all[k].bytes + n.Bytes}
	}
	for k, n := range all {
		to.counter(packets, float64(n.packets), k.verdict, k.reason)
		to.counter(bytes, float64(n.bytes), k.verdict, k.reason)
	}
	return nil
}

func (c *collector) events(ctx context.Context, to sink) error {
	lost, err := c.config.Dataplane.Stats.Lost(ctx)
	if err == nil {
		to.counter(eventsLost, float64(lost))
	}
	return err
}

func (c *collector) programs(ctx context.Context, to sink) error {
	for p, err := range c.config.Dataplane.Stats.Programs(ctx) {
		if err != nil {
			return err
		}
		name := strings.ToLower(p.Hook.String())
		to.counter(programRuns, float64(p.Runs), name)
		to.counter(programSeconds, p.RunTime.Seconds(), name)
	}
	return nil
}

func (c *collector) droplets(ctx context.Context, to sink) error {
	taken := make(map[string]bool)
	for d, err := range c.config.Dataplane.Stats.Droplets(ctx) {
		if err != nil {
			return err
		}
		name := label(d, func(name string) bool { return taken[name] })
		taken[name] = true
		to.traffic(dropletPackets, dropletBytes, d.Traffic, name)
	}
	return nil
}

func (c *collector) health(ctx context.Context, to sink) error {
	if c.config.Healthy == nil {
		return nil
	}
	value := 0.0
	if c.config.Healthy(ctx) {
		value = 1
	}
	to.gauge(healthy, value)
	return nil
}

func (c *collector) endpoints(ctx context.Context, to sink) (err error) {
	var rows []dataplane.Traffic
	for e, failed := range c.config.Dataplane.Stats.Endpoints(ctx) {
		if failed != nil {
			err = failed // what was read is shown
			break
		}
		rows = append(rows, e)
	}
	c.tally.add(rows, err == nil)
	c.tally.show(to)
	return err
}

func (c *collector) tables(ctx context.Context, to sink) error {
	if c.config.Fill == nil {
		return nil
	}
	short, cancel := context.WithTimeout(ctx, fillWait)
	defer cancel()
	tables, err := c.config.Fill.Tables(short)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		tables, _ = c.config.Fill.Last()
		err = nil
	}
	for _, t := range tables {
		show(to, t)
	}
	return err
}

func show(to sink, t fill.Table) {
	to.gauge(tableEntries, float64(t.Entries), t.Name)
	to.gauge(tableCapacity, float64(t.Capacity), t.Name)
}

// label names an interface: by its name, or by its number where that is none, means something else here or is
// taken by another, that was renamed. The kernel takes no colon in a name.
func label(t dataplane.Traffic, taken func(string) bool) string {
	if name := valid(t.Interface); name != "" && name != other && !taken(name) {
		return name
	}
	return "ifindex:" + strconv.Itoa(t.Ifindex)
}

// valid is what a label can be. The kernel takes any bytes in a name.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
