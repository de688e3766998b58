// SPDX-License-Identifier: Apache-2.0

package host

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/endpoint"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/internal/testutil"
)

var (
	virtualMAC = net.HardwareAddr{0xfe, 0x6d, 0x69, 0x7a, 0x61, 0x72}
	farMAC     = net.HardwareAddr{2, 0, 0, 0, 1, 2}
)

// comparer gives the programs what a trace was asked about.
type comparer struct {
	*programs
	choices
	workloads []*endpoint.Endpoint
	seen      map[string]int // verdicts
}

// newTraceWorld is a host whose underlay has both families, and room for any of the states.
func newTraceWorld(t testing.TB) *world {
	t.Helper()
	w := newWorld(t)
	testutil.Addr(t, w.ns, "eth0", "2001:db8:1::1/64")
	w.options.Dataplane.Limits.Networks, w.options.Dataplane.Limits.Sets = 64, 128
	return w
}

func (w *world) comparer(t testing.TB, seed uint64) *comparer {
	t.Helper()
	c := choices{Rand: rand.New(rand.NewPCG(seed, 0)), none: object(t, "firewall"), all: object(t, "droplog")}
	return &comparer{choices: c, programs: w.programs(t), seen: make(map[string]int)}
}

// look has the comparer know the workloads that there are now.
func (c *comparer) look(t testing.TB) {
	t.Helper()
	c.workloads = nil
	for e, err := range c.w.h.dp.Endpoint.Local(t.Context()) {
		require.NoError(t, err)
		c.workloads = append(c.workloads, e)
	}
}

// sender is the workload that a trace takes for the sender: whose address it is, else the first that may use it. If
// nobody may, it is one that tries. Nil: there is none in the VPC.
func (c *comparer) sender(vni uint32, a netip.Addr) (who *endpoint.Endpoint) {
	var may *endpoint.Endpoint
	for _, e := range c.workloads {
		if e.VNI != vni {
			continue
		}
		if slices.Contains(e.Addrs, a) {
			return e
		}
		if may == nil && slices.ContainsFunc(e.Allowed, func(p netip.Prefix) bool { return covers(p, a) }) {
			may = e
		}
		if who == nil || c.oneIn(2) {
			who = e
		}
	}
	if may != nil {
		return may
	}
	return who
}

// home is the host that the tables have an endpoint at, or the one that its network is behind.
func (c *comparer) home(t testing.TB, vni uint32, a netip.Addr) netip.Addr {
	t.Helper()
	var row bpf.TableEndpoint
	key := bpf.TableEndpointKey{Vni: vni, Addr: bpf.TableAddress{Bytes: a.As16()}}
	if c.tables.Endpoints.Lookup(key, &row) != nil {
		var network bpf.TableNetwork
		wire := binary.BigEndian.AppendUint32(nil, vni)
		longest := bpf.TableNetworkKey{Prefixlen: 160, Vni: binary.NativeEndian.Uint32(wire), Addr: key.Addr}
		if c.tables.Networks.Lookup(longest, &network) != nil {
			return netip.Addr{}
		}
		key.Addr = network.Via
		_ = c.tables.Endpoints.Lookup(key, &row) // zero: not there
	}
	if host := netip.AddrFrom16(row.Host.Bytes).Unmap(); !host.IsUnspecified() {
		return host
	}
	return netip.Addr{}
}

// ask compares what a trace says of a packet with what the programs do. The text says what differs.
func (c *comparer) ask(t testing.TB, q *pb.TracePacketRequest) (trace *pb.TracePacketResponse, differs string) {
	t.Helper()
	trace, err := c.w.h.Trace(t.Context(), q)
	require.NoError(t, err)
	src, dst := netip.MustParseAddr(q.Source), netip.MustParseAddr(q.Destination)
	sport, dport := uint16(c.IntN(1<<16)), uint16(c.IntN(1<<16))
	var got bpf.Reason
	var out []byte
	what, option := "sent", netip.Addr{}
	if q.From == "" {
		e := c.sender(q.Vni, src)
		if e == nil {
			return trace, ""
		}
		what += " by " + e.HostInterface
		got, out = c.run(t, c.AgentTCX, e.Ifindex, datagram(e.MAC, virtualMAC, src, dst, sport, dport, nil))
	} else {
		from := netip.MustParseAddr(q.From)
		to := hosts4[0]
		if from.Is6() {
			to = hosts6[0]
		}
		home := c.home(t, q.Vni, src)
		option = pick(c.choices, netip.Addr{}, from, home)
		if option.IsValid() && (option.IsLoopback() || option.IsMulticast() || option.IsUnspecified() || option.Is4() && option.As4()[0] >= 240) {
			option = netip.Addr{}
		}
		what = fmt.Sprintf("from %v (return to %v)", from, option)
		got, out = c.run(t, c.TransitTCX, c.droplet, tunneled(t, from, to, q.Vni, option, datagram(farMAC, virtualMAC, src, dst, sport, dport, nil)))
	}
	want := c.expected(trace, q, got, option)
	c.seen[want]++
	text := got.String()
	if got >= bpf.TableReasonREASON_FUNCTION_FIRST {
		text = "FUNCTION"
	}
	if text == want {
		differs = c.reaches(trace, got, out)
	} else {
		differs = fmt.Sprintf("it is %s", text)
	}
	if differs != "" {
		differs = fmt.Sprintf("VPC %d, %s to %s, %s: want %s, %s\n%s", q.Vni, src, dst, what, want, differs, spelled(trace))
	}
	return trace, differs
}

// expected is what a trace says of this very packet: some of it is for others.
func (c *comparer) expected(trace *pb.TracePacketResponse, q *pb.TracePacketRequest, got bpf.Reason, option netip.Addr) string {
	want, straight := trace.Verdict, false
	for _, s := range trace.Steps {
		switch {
		case strings.Contains(s.Says, "goes back there once") && !option.IsValid():
			want, straight = "RETURN", true
		case strings.Contains(s.Says, "unless it names") && option.String() != s.Found:
			want = "DROP_SOURCE_HOST"
		case strings.Contains(s.Says, "flows for which") && got == bpf.TableReasonDROP_LOOP && want != "RETURN":
			want = "DROP_LOOP"
		}
	}
	for _, s := range trace.Steps {
		forward := strings.HasPrefix(s.Key, "forward")
		deliver := strings.HasPrefix(s.Key, "deliver")
		if s.Table == "stages" && strings.Contains(s.Found, "none") && !(straight && forward) && !(deliver && want == "DROP_SOURCE_HOST") {
			return "FUNCTION"
		}
	}
	return want
}

// reaches compares where the packet goes.
func (c *comparer) reaches(trace *pb.TracePacketResponse, got bpf.Reason, out []byte) string {
	switch got {
	case bpf.TableReasonREASON_DELIVER, bpf.TableReasonREASON_DELIVER_LOCAL:
		for _, e := range c.workloads {
			if e.MAC.String() == net.HardwareAddr(out[:6]).String() && !slices.Equal(trace.Targets, []string{e.HostInterface}) {
				return "it goes to " + e.HostInterface
			}
		}
	case bpf.TableReasonREASON_SEND_DIRECT, bpf.TableReasonREASON_SEND_BOUNCER, bpf.TableReasonREASON_SEND_DIVIDER,
		bpf.TableReasonREASON_BOUNCE, bpf.TableReasonREASON_DIVIDE_NETWORK, bpf.TableReasonREASON_DIVIDE_VPC:
		if to := destinationOf(out).String(); !slices.Contains(trace.Targets, to) {
			return "it goes to " + to
		}
	}
	return ""
}

// spelled is a trace as people see it.
func spelled(trace *pb.TracePacketResponse) string {
	var b strings.Builder
	for _, s := range trace.Steps {
		fmt.Fprintf(&b, "  %s %s: %q: %s\n", s.Table, s.Key, s.Found, s.Says)
	}
	fmt.Fprintf(&b, "  %s %v", trace.Verdict, trace.Targets)
	return b.String()
}
