// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/require"
)

// A model of the pipeline, written from its description: what the tables say, and what happens to a
// well-formed UDP packet. Tests make random tables and packets, and compare with the programs.
type model struct {
	endpoints map[place]modelEndpoint
	networks  map[uint32][]modelNetwork
	vpcs      map[uint32]modelVPC
	directs   map[place]netip.Addr
}

type place struct {
	vni  uint32
	addr netip.Addr
}

type modelEndpoint struct {
	local int // agent's number + 1
	host  netip.Addr
}

type modelNetwork struct {
	prefix    netip.Prefix
	kind      TableNetworkKind
	bouncer   netip.Addr
	self      bool // this host is the bouncer
	via       netip.Addr
	noDirect  bool
	setNumber uint32
}

type modelVPC struct {
	divider   netip.Addr // zero: none
	self      bool
	noDirect  bool
	setNumber uint32
}

func (m *model) network(v uint32, a netip.Addr) (best modelNetwork, ok bool) {
	for _, n := range m.networks[v] {
		if n.prefix.Contains(a) && (!ok || n.prefix.Bits() > best.prefix.Bits()) {
			best, ok = n, true
		}
	}
	return best, ok
}

// find follows a route to the endpoint behind which a prefix is.
func (m *model) find(v uint32, a netip.Addr) (at netip.Addr, ep modelEndpoint, found bool, n modelNetwork, haveNet bool) {
	if ep, found = m.endpoints[place{v, a}]; found {
		return a, ep, true, n, false
	}
	n, haveNet = m.network(v, a)
	if haveNet && n.kind == TableNetworkKindNETWORK_ENDPOINT {
		a = n.via
		ep, found = m.endpoints[place{v, a}]
	}
	return a, ep, found, n, haveNet
}

// relay is the host that may know, and what going there is called.
func (m *model) relay(v uint32, n modelNetwork, have bool) (netip.Addr, TableReason) {
	if have && n.kind == TableNetworkKindNETWORK_ENDPOINT {
		if n, have = m.network(v, n.via); have && n.kind == TableNetworkKindNETWORK_ENDPOINT {
			return netip.Addr{}, TableReasonDROP_NO_ENDPOINT
		}
	}
	switch {
	case have && n.kind == TableNetworkKindNETWORK_BLACKHOLE:
		return netip.Addr{}, TableReasonDROP_BLACKHOLE
	case have && n.self:
		return netip.Addr{}, TableReasonDROP_NO_ENDPOINT
	case have:
		return n.bouncer, TableReasonREASON_DIVIDE_NETWORK
	}
	vpc, ok := m.vpcs[v]
	switch {
	case !ok:
		return netip.Addr{}, TableReasonDROP_NO_VPC
	case !vpc.divider.IsValid() || vpc.self:
		return netip.Addr{}, TableReasonDROP_NO_NETWORK
	}
	return vpc.divider, TableReasonREASON_DIVIDE_VPC
}

// agent says what happens to what a workload sends, and to which host it goes.
func (m *model) agent(v uint32, from int, src, dst netip.Addr) (TableReason, netip.Addr) {
	if ep := m.endpoints[place{v, src}]; ep.local != from+1 {
		return TableReasonDROP_SPOOF_ADDRESS, netip.Addr{}
	}
	direct := func(a netip.Addr) (netip.Addr, bool) {
		h, ok := m.directs[place{v, a}]
		vpc, have := m.vpcs[v]
		return h, ok && have && !vpc.noDirect
	}
	at, ep, found, n, have := m.find(v, dst)
	if _, exact := m.endpoints[place{v, dst}]; !exact {
		if h, ok := direct(dst); ok {
			return m.send(h, TableReasonREASON_SEND_DIRECT)
		}
	}
	switch {
	case found && ep.local == from+1:
		return TableReasonDROP_LOOP, netip.Addr{}
	case found && ep.local != 0:
		return TableReasonREASON_DELIVER_LOCAL, netip.Addr{}
	case found:
		return m.send(ep.host, TableReasonREASON_SEND_DIRECT)
	}
	if at != dst {
		if h, ok := direct(at); ok {
			return m.send(h, TableReasonREASON_SEND_DIRECT)
		}
	}
	var host netip.Addr
	var why TableReason
	own, haveOwn := m.network(v, src)
	if !have && haveOwn && own.kind == TableNetworkKindNETWORK_BOUNCERS && !own.self {
		host, why = own.bouncer, TableReasonREASON_DIVIDE_NETWORK
	} else {
		host, why = m.relay(v, n, have)
	}
	switch why {
	case TableReasonREASON_DIVIDE_NETWORK:
		why = TableReasonREASON_SEND_BOUNCER
	case TableReasonREASON_DIVIDE_VPC:
		why = TableReasonREASON_SEND_DIVIDER
	}
	return m.send(host, why)
}

func (m *model) send(host netip.Addr, why TableReason) (TableReason, netip.Addr) {
	if why < TableReasonREASON_DROP_FIRST && host == host4 {
		return TableReasonDROP_LOOP, netip.Addr{}
	}
	return why, host
}

// transit says what happens to a tunnel packet. sender is zero where no option is in it.
func (m *model) transit(v uint32, outer, sender netip.Addr, hops byte, src, dst netip.Addr) (TableReason, netip.Addr) {
	_, ep, found, n, have := m.find(v, dst)
	if found && ep.local != 0 {
		return m.arrive(v, outer, sender, src), netip.Addr{}
	}
	if have && n.kind == TableNetworkKindNETWORK_BLACKHOLE {
		return TableReasonDROP_BLACKHOLE, netip.Addr{}
	}
	if !sender.IsValid() {
		return TableReasonREASON_RETURN, outer
	}
	host, why := ep.host, TableReasonREASON_BOUNCE
	if !found {
		host, why = m.relay(v, n, have)
	}
	switch {
	case why >= TableReasonREASON_DROP_FIRST:
		return why, netip.Addr{}
	case hops == 0:
		return TableReasonDROP_HOPS, netip.Addr{}
	case host == outer || host == host4:
		return TableReasonDROP_LOOP, netip.Addr{}
	}
	return why, host
}

// arrive is delivery: where the tables say the source lives, it comes from there.
func (m *model) arrive(v uint32, outer, sender, src netip.Addr) TableReason {
	host := outer
	if sender.IsValid() {
		host = sender
	}
	_, ep, found, _, _ := m.find(v, src)
	if !found {
		return TableReasonREASON_DELIVER
	}
	if ep.local != 0 || ep.host != host {
		return TableReasonDROP_SOURCE_HOST
	}
	if host != outer && !m.isRelay(v, outer, src) {
		return TableReasonDROP_SOURCE_HOST
	}
	return TableReasonREASON_DELIVER
}

func (m *model) isRelay(v uint32, host, src netip.Addr) bool {
	n, ok := m.network(v, src)
	return ok && n.kind == TableNetworkKindNETWORK_BOUNCERS && (n.bouncer == host || n.self && host == host4) ||
		m.vpcs[v].divider == host
}

var modelHosts = []netip.Addr{far4, bouncer4, divider4, host4}

// randomModel makes tables over few addresses, so that things meet.
func randomModel(rng *rand.Rand) *model {
	m := &model{endpoints: map[place]modelEndpoint{}, networks: map[uint32][]modelNetwork{},
		vpcs: map[uint32]modelVPC{}, directs: map[place]netip.Addr{}}
	host := func() netip.Addr { return modelHosts[rng.IntN(len(modelHosts))] }
	number := uint32(10)
	for _, v := range []uint32{vni, otherVNI} {
		for i := range 6 {
			p := place{v, modelAddr(i)}
			switch rng.IntN(4) {
			case 0:
				local := 1 + rng.IntN(2)
				if v == otherVNI {
					local = 3
				}
				m.endpoints[p] = modelEndpoint{local: local}
			case 1:
				m.endpoints[p] = modelEndpoint{host: host()}
			case 2:
				m.directs[p] = modelHosts[rng.IntN(3)]
			}
		}
		for _, prefix := range []string{"203.0.113.0/25", "203.0.113.0/29", "203.0.113.4/30"} {
			n := modelNetwork{prefix: netip.MustParsePrefix(prefix), kind: TableNetworkKind(1 + rng.IntN(3)),
				bouncer: host(), via: modelAddr(rng.IntN(6)), noDirect: rng.IntN(3) == 0, setNumber: number}
			n.self = n.bouncer == host4
			number++
			if rng.IntN(2) == 0 {
				m.networks[v] = append(m.networks[v], n)
			}
		}
		if rng.IntN(5) > 0 {
			vpc := modelVPC{divider: host(), noDirect: rng.IntN(3) == 0, setNumber: number}
			vpc.self = vpc.divider == host4
			number++
			m.vpcs[v] = vpc
		}
	}
	return m
}

func modelAddr(i int) netip.Addr { return netip.AddrFrom4([4]byte{203, 0, 113, byte(1 + i*3)}) }

// load puts the model's tables in place of the rig's, but for what is learned.
func (r *rig) load(m *model) {
	t := r.tables
	for _, v := range []uint32{vni, otherVNI} {
		for i := range 12 {
			t.Endpoints.Delete(TableEndpointKey{Vni: v, Addr: address(modelAddr(i))})
		}
		for _, s := range []string{"203.0.113.0/25", "203.0.113.0/29", "203.0.113.4/30", "203.0.113.0/24"} {
			p := netip.MustParsePrefix(s)
			t.Networks.Delete(TableNetworkKey{Prefixlen: 32 + prefixBits(p), Vni: bigEndian32(v), Addr: address(p.Addr())})
		}
		t.VPCs.Delete(v)
	}
	flags := map[bool]TableSetFlags{true: TableSetFlagsSET_SELF}
	for v, vpc := range m.vpcs {
		row := TableVpc{Vni: v, Generation: uint64(v)}
		if vpc.noDirect {
			row.Flags = TableVpcFlagsVPC_NO_DIRECT
		}
		if vpc.divider.IsValid() {
			row.Set = vpc.setNumber
			r.set(row.Set, flags[vpc.self], vpc.divider)
		}
		r.put(t.VPCs, v, row)
	}
	for v, list := range m.networks {
		for _, n := range list {
			row := TableNetwork{Kind: n.kind}
			switch n.kind {
			case TableNetworkKindNETWORK_BOUNCERS:
				row.Set = n.setNumber
				r.set(row.Set, flags[n.self], n.bouncer)
			case TableNetworkKindNETWORK_ENDPOINT:
				row.Via = address(n.via)
			}
			if n.noDirect {
				row.Flags = TableNetworkFlagsNETWORK_NO_DIRECT
			}
			r.network(v, n.prefix.String(), row)
		}
	}
	for p, ep := range m.endpoints {
		row := TableEndpoint{}
		if ep.local != 0 {
			row.Ifindex = uint32(r.agents[ep.local-1])
		} else {
			row.Host = address(ep.host)
		}
		r.endpoint(p.vni, p.addr, row)
	}
}

// relearn has programs know what the model has learned, and nothing else: each packet teaches.
func (r *rig) relearn(m *model) {
	t := r.tables.Directs
	for _, v := range []uint32{vni, otherVNI} {
		for i := range 12 {
			t.Delete(TableEndpointKey{Vni: v, Addr: address(modelAddr(i))})
		}
	}
	for p, h := range m.directs {
		r.put(t, TableEndpointKey{Vni: p.vni, Addr: address(p.addr)},
			TableDirect{Host: address(h), Generation: uint64(p.vni), Seen: 1 << 62})
	}
	r.nextEpoch()
}

// TestModel compares what the programs do with random packets under random tables with the model.
func TestModel(t *testing.T) {
	r := newRig(t)
	rng := rand.New(rand.NewPCG(7, 11))
	seen := map[TableReason]int{}
	vnis := []uint32{vni, otherVNI}
	macs := [][]byte{macA, macB, macC}
	for round := range 150 {
		m := randomModel(rng)
		r.load(m)
		for _, hook := range []string{"xdp", "tcx"} {
			for range 25 {
				v := vnis[rng.IntN(2)]
				src, dst := modelAddr(rng.IntN(8)), modelAddr(rng.IntN(8))
				r.relearn(m)
				r.resetCounters()
				var want TableReason
				var host netip.Addr
				var what string
				var out []byte
				if rng.IntN(2) == 0 {
					from := rng.IntN(2)
					if v == otherVNI {
						from = 2
					}
					what = fmt.Sprintf("agent %d vni %d %v > %v", from, v, src, dst)
					want, host = m.agent(v, from, src, dst)
					prog := r.p.AgentXDP
					if hook == "tcx" {
						prog = r.p.AgentTCX
					}
					_, out = r.run(prog, r.agents[from], inner(t, macs[from], macVirtual, src, dst, 9))
				} else {
					outer, hops := modelHosts[rng.IntN(3)], byte(rng.IntN(5))
					var sender netip.Addr
					var options []byte
					if rng.IntN(2) == 0 {
						sender = modelHosts[rng.IntN(3)]
						options = rts(sender, hops, false)
					}
					what = fmt.Sprintf("transit vni %d %v (%v, %d) %v > %v", v, outer, sender, hops, src, dst)
					want, host = m.transit(v, outer, sender, hops, src, dst)
					prog := r.p.TransitXDP
					if hook == "tcx" {
						prog = r.p.TransitTCX
					}
					_, out = r.run(prog, r.droplet, tunnel(t, outer, host4, v, options, inner(t, macFar, macVirtual, src, dst, 9)))
				}
				require.Equal(t, map[TableReason]uint64{want: 1}, r.counters(), "round %d %s: %s\nwant %v, got %v\n%+v", round, hook, what, want, r.counters(), m)
				seen[want]++
				if host.IsValid() {
					ip := gopacket.NewPacket(out, layers.LayerTypeEthernet, gopacket.Default).NetworkLayer().(*layers.IPv4)
					require.Equal(t, host.String(), ip.DstIP.String(), "%s", what)
				}
			}
		}
	}
	// The random tables reach all there is to decide.
	for _, want := range []TableReason{TableReasonREASON_DELIVER, TableReasonREASON_DELIVER_LOCAL, TableReasonREASON_SEND_DIRECT,
		TableReasonREASON_SEND_BOUNCER, TableReasonREASON_SEND_DIVIDER, TableReasonREASON_BOUNCE,
		TableReasonREASON_DIVIDE_NETWORK, TableReasonREASON_DIVIDE_VPC, TableReasonREASON_RETURN,
		TableReasonDROP_SPOOF_ADDRESS, TableReasonDROP_SOURCE_HOST, TableReasonDROP_NO_ENDPOINT, TableReasonDROP_BLACKHOLE,
		TableReasonDROP_NO_NETWORK, TableReasonDROP_NO_VPC, TableReasonDROP_HOPS, TableReasonDROP_LOOP} {
		require.NotZero(t, seen[want], "%v never happened", want)
	}
}
