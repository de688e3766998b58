// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/internal/probe"
)

// A bench is a rig whose loopback is droplet and agent at once: that is where BPF_PROG_RUN has packets
// come from.
type bench struct {
	*rig
	objects *benchObjects
	known   int // endpoints in the table, of 10/8
}

const (
	loopback = 1

	benchRounds = 9
	benchRepeat = 200_000
	benchCalls  = 2000

	xdpDrop     = 1
	xdpTX       = 3
	xdpRedirect = 4
)

func newBench(b *testing.B) *bench {
	r := newRigFor(b, 1<<20+100)
	r.put(r.tables.Droplets, uint32(loopback), TableDroplet{Source4: address(host4), Source6: address(host6),
		Mac: [6]byte(macDroplet), Mtu: mtu, Flags: TableDropletFlagsDROPLET_XDP})
	r.put(r.tables.Agents, uint32(loopback), TableAgent{Vni: vni, Mac: [6]byte(macA), Mtu: mtu})
	r.endpoint(vni, a4, TableEndpoint{Ifindex: loopback})
	spec, err := loadBench()
	require.NoError(b, err)
	spec.Maps[TableMapEndpoints].MaxEntries = r.tables.Endpoints.MaxEntries()
	x := &bench{rig: r, objects: new(benchObjects)}
	require.NoError(b, spec.LoadAndAssign(x.objects, &ebpf.CollectionOptions{
		MapReplacements: map[string]*ebpf.Map{TableMapEndpoints: r.tables.Endpoints}}))
	b.Cleanup(func() { require.NoError(b, x.objects.Close()) })
	return x
}

// nth is an address of 10/8.
func nth(i int) netip.Addr {
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], 10<<24|uint32(i))
	return netip.AddrFrom4(a)
}

// fill has n endpoints in the table, all of them at one place.
func (x *bench) fill(n int, ep TableEndpoint) {
	x.t.Helper()
	ep.Kind = TableEndpointKindENDPOINT_SIMPLE
	key := func(i int) TableEndpointKey { return TableEndpointKey{Vni: vni, Addr: address(nth(i))} }
	for i := n; i < x.known; i++ {
		require.NoError(x.t, x.tables.Endpoints.Delete(key(i)))
	}
	const batch = 1 << 16
	for from := 0; from < n; from += batch {
		var keys []TableEndpointKey
		var values []TableEndpoint
		for i := from; i < min(n, from+batch); i++ {
			keys, values = append(keys, key(i)), append(values, ep)
		}
		_, err := x.tables.Endpoints.BatchUpdate(keys, values, nil)
		require.NoError(x.t, err)
	}
	x.known = n
}

// aim makes a frame the one that `fresh` restores before p runs; spread: with any of so many endpoints,
// a power of two, as its destination.
func (x *bench) aim(frame []byte, p *ebpf.Program, spread int) {
	x.t.Helper()
	t := benchTemplate{Length: uint32(len(frame)), Mask: uint32(spread - 1), Base: bigEndian32(10 << 24)}
	t.Offset = uint32(bytes.LastIndex(frame, nth(0).AsSlice()))
	require.Less(x.t, int(t.Offset), copy(t.Bytes[:], frame))
	x.put(x.objects.Frame, uint32(0), t)
	x.put(x.objects.Measured, uint32(0), p)
}

// run gives a program benchRepeat packets, each as the last one left it, and tells how many ns one took.
func (x *bench) run(p *ebpf.Program, frame []byte, want uint32) (ns float64) {
	x.t.Helper()
	x.enter(func() error {
		if err := netns.Set(x.ns); err != nil {
			return err
		}
		start := threadTime(x.t)
		ret, err := p.Run(&ebpf.RunOptions{Data: frame, Repeat: benchRepeat})
		ns = float64(threadTime(x.t)-start) / benchRepeat
		if err == nil && ret != want {
			err = fmt.Errorf("the last packet ended as %d, not %d: %v", ret, want, x.counters())
		}
		return err
	})
	return ns
}

// threadTime is what the calling thread has had of a CPU: others may be busy at the same time.
func threadTime(t testing.TB) time.Duration {
	t.Helper()
	var now unix.Timespec
	require.NoError(t, unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &now))
	return time.Duration(now.Nano())
}

// runEach gives a program benchCalls packets, each as it should be, and tells the median in ns.
func (x *bench) runEach(p *ebpf.Program, frame []byte) float64 {
	x.t.Helper()
	all := make([]time.Duration, benchCalls)
	x.enter(func() error {
		if err := netns.Set(x.ns); err != nil {
			return err
		}
		for i := range all {
			var err error
			if _, all[i], err = p.Benchmark(frame, 1, nil); err != nil {
				return err
			}
		}
		return nil
	})
	slices.Sort(all)
	return float64(all[benchCalls/2])
}

// rounds calls each in turn, and gives the median of each.
func rounds(each ...func() float64) []float64 {
	all := make([][]float64, len(each))
	for range benchRounds {
		for i, f := range each {
			all[i] = append(all[i], f())
		}
	}
	medians := make([]float64, len(each))
	for i := range all {
		slices.Sort(all[i])
		medians[i] = all[i][benchRounds/2]
	}
	return medians
}

// A work is what a program does to a packet.
type work struct {
	name   string
	agent  bool
	reason TableReason
	frame  func(t testing.TB, out outerPair) []byte
	ep     TableEndpoint // of the destinations, when it is local
	remote bool          // it is not
	absent bool          // it is in no table: its network decides
}

// outerPair is this host and others, on one underlay.
type outerPair struct {
	name               string
	here, far, bouncer netip.Addr
	set                uint32 // with the bouncer
}

var outerPairs = []outerPair{{"v4", host4, far4, bouncer4, 1}, {"v6", host6, far6, bouncer6, 2}}

func works() []work {
	plain := func(t testing.TB, out outerPair) []byte { return inner(t, macA, macVirtual, a4, nth(0), 128) }
	straight := func(t testing.TB, out outerPair) []byte {
		return tunnel(t, out.far, out.here, vni, nil, inner(t, macFar, macVirtual, unknown4, nth(0), 128))
	}
	relayed := func(t testing.TB, from, here netip.Addr) []byte {
		return tunnel(t, from, here, vni, rts(from, 4, false), inner(t, macFar, macVirtual, unknown4, nth(0), 128))
	}
	bounced := func(t testing.TB, out outerPair) []byte { return relayed(t, out.bouncer, out.here) }
	divided := func(t testing.TB, out outerPair) []byte { return relayed(t, out.far, out.here) }
	return []work{
		{name: "encap", agent: true, reason: TableReasonREASON_SEND_DIRECT, frame: plain, remote: true},
		{name: "deliver", reason: TableReasonREASON_DELIVER, frame: straight, ep: TableEndpoint{Ifindex: loopback}},
		{name: "bounce", reason: TableReasonREASON_BOUNCE, frame: bounced, remote: true},
		{name: "divide", reason: TableReasonREASON_DIVIDE_NETWORK, frame: divided, absent: true},
	}
}

// sizes are how many endpoints are known, and to how many of them packets go.
var sizes = []struct {
	name          string
	known, spread int
	v4            bool // that will do
}{
	{"1-endpoint", 1, 1, false},
	{"1000-endpoints", 1 << 10, 1, true},
	{"1000000-endpoints", 1 << 20, 1, false},
	{"1000000-endpoints-random", 1 << 20, 1 << 20, true},
}

// benchCase is one line of the table.
type benchCase struct {
	work
	packet []byte
	spread int
}

// program picks the one that does the work.
func (c benchCase) program(transit, agent *ebpf.Program) *ebpf.Program {
	if c.agent {
		return agent
	}
	return transit
}

// wantCounted: every packet was a fresh one, as each got the same verdict.
func (c benchCase) wantCounted(b *testing.B, x *bench, packets uint64) {
	b.Helper()
	require.Equal(b, map[TableReason]uint64{c.reason: packets}, x.counters())
}

// BenchmarkXDP tells what the XDP programs take for a packet (ns/packet), and how many times that of a
// program that only swaps MACs (x-floor). What it takes to make every packet a fresh one is measured by
// itself, and left out. The endpoint's lookup alone (ns/lookup) is what a large table costs anybody.
func BenchmarkXDP(b *testing.B) {
	benchWorks(b, func(b *testing.B, x *bench, c benchCase) {
		then := func(target *ebpf.Program, ret uint32) func() float64 {
			return func() float64 {
				x.aim(c.packet, target, c.spread)
				return x.run(x.objects.Fresh, c.packet, ret)
			}
		}
		found := uint32(xdpTX)
		if c.absent {
			found = xdpDrop
		}
		ns := rounds(
			then(c.program(x.p.TransitXDP, x.p.AgentXDP), xdpRedirect),
			then(x.objects.Nothing, xdpTX),
			func() float64 { return x.run(x.objects.Swap, c.packet, xdpTX) },
			func() float64 { return x.run(x.objects.Lookup, c.packet, found) },
		)
		c.wantCounted(b, x, benchRounds*benchRepeat)
		b.ReportMetric(ns[0]-ns[1], "ns/packet")
		b.ReportMetric((ns[0]-ns[1])/ns[2], "x-floor")
		b.ReportMetric(ns[3]-ns[2], "ns/lookup")
	})
}

// BenchmarkTCX is the same for tcx, where a packet cannot be made a fresh one: each is given by a call of
// its own, timed by the kernel, less what an empty program takes in such a call.
func BenchmarkTCX(b *testing.B) {
	benchWorks(b, func(b *testing.B, x *bench, c benchCase) {
		if c.spread > 1 {
			b.Skip("every packet has a call of its own, with the caches cold: there is no hot one to compare with")
		}
		ns := rounds(
			func() float64 { return x.runEach(c.program(x.p.TransitTCX, x.p.AgentTCX), c.packet) },
			func() float64 { return x.runEach(x.objects.SkbNothing, c.packet) },
		)
		c.wantCounted(b, x, benchRounds*benchCalls)
		b.ReportMetric(ns[0]-ns[1], "ns/packet")
	})
}

// BenchmarkStages tells what functions that do nothing cost a packet that is delivered by XDP, beside one where nobody
// has any: those of other stages, those of other packets, and so many of its own.
func BenchmarkStages(b *testing.B) {
	x := newBench(b)
	x.fill(1, TableEndpoint{Ifindex: loopback})
	frame := works()[1].frame(b, outerPairs[0])
	spec, err := probe.LoadEmpty()
	require.NoError(b, err)
	f, err := LoadFunction(x.tables, "empty", spec, nil)
	require.NoError(b, err)
	defer f.Close()
	nothing := &probed{f, x.rig}
	run := func(target *ebpf.Program, ret uint32) func() float64 {
		return func() float64 {
			x.aim(frame, target, 1)
			return x.run(x.objects.Fresh, frame, ret)
		}
	}
	chains := func(stage Stage, v uint32, n int) func() {
		return func() {
			x.settings(func(s *TableSettings) { s.Stages = 0 })
			if n != 0 {
				x.chain(stage, v, 0, 30, slices.Repeat([]*probed{nothing}, n)...)
			}
		}
	}
	none := chains(0, 0, 0)
	for _, c := range []struct {
		name string
		set  func()
	}{
		{"at-other-stages", chains(TableStageSTAGE_FORWARD, vni, 1)},
		{"of-others", chains(TableStageSTAGE_DELIVER, otherVNI, 1)},
		{"1-function", chains(TableStageSTAGE_DELIVER, vni, 1)},
		{"4-functions", chains(TableStageSTAGE_DELIVER, vni, 4)},
	} {
		b.Run(c.name, func(b *testing.B) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			for b.Loop() {
				x.resetCounters()
				with, without := run(x.p.TransitXDP, xdpRedirect), run(x.p.TransitXDP, xdpRedirect)
				ns := rounds(
					func() float64 { c.set(); return with() },
					func() float64 { none(); return without() },
					func() float64 { return x.run(x.objects.Swap, frame, xdpTX) },
				)
				require.Equal(b, map[TableReason]uint64{TableReasonREASON_DELIVER: 2 * benchRounds * benchRepeat}, x.counters())
				b.ReportMetric(ns[0]-ns[1], "ns/packet")
				b.ReportMetric((ns[0]-ns[1])/ns[2], "x-floor")
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// benchWorks runs f for every kind of work, outer family and size of the table.
func benchWorks(b *testing.B, f func(b *testing.B, x *bench, c benchCase)) {
	x := newBench(b)
	for _, w := range works() {
		for _, out := range outerPairs {
			if w.remote {
				w.ep.Host = address(out.far)
			}
			for _, size := range sizes {
				name, known := w.name+"/"+out.name+"/"+size.name, size.known
				if w.absent {
					name, known = w.name+"/"+out.name, 0
				}
				if size.v4 && out.name != "v4" || w.absent && size != sizes[0] {
					continue
				}
				b.Run(name, func(b *testing.B) {
					runtime.LockOSThread()
					defer runtime.UnlockOSThread()
					x.network(vni, "10.0.0.0/8", TableNetwork{Kind: TableNetworkKindNETWORK_BOUNCERS, Set: out.set})
					x.fill(known, w.ep)
					for b.Loop() {
						x.resetCounters()
						f(b, x, benchCase{w, w.frame(b, out), size.spread})
					}
					b.ReportMetric(0, "ns/op") // it would be that of all rounds
				})
			}
		}
	}
}
