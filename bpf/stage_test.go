// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/internal/probe"
)

const probeReason = TableReasonREASON_FUNCTION_FIRST + 7

// A probed is a probe that is loaded.
type probed struct {
	*Function
	r *rig
}

func (r *rig) probe(says uint32, set map[string]uint32) *probed {
	r.t.Helper()
	f, err := LoadFunction(r.tables, "probe", probe.Spec(r.t, says, set), map[string]Reason{probe.Reason: probeReason})
	require.NoError(r.t, err)
	r.t.Cleanup(func() { require.NoError(r.t, f.Close()) })
	return &probed{f, r}
}

func (p *probed) seen() probe.ProbeSaw { return probe.Seen(p.r.t, p.Maps) }

// chain puts functions into slots, and has a stage begin there.
func (r *rig) chain(stage Stage, v, ifindex uint32, at uint16, all ...*probed) {
	r.t.Helper()
	for i, p := range all {
		if p.XDP != nil {
			require.NoError(r.t, r.tables.StagesXDP.Put(TableSlot(int(at)+i), p.XDP))
		}
		require.NoError(r.t, r.tables.StagesTCX.Put(TableSlot(int(at)+i), p.TCX))
	}
	key := TableChainKey{Vni: v, Ifindex: ifindex}
	row := TableChains{Vni: v, Ifindex: ifindex}
	_ = r.tables.Chains.Lookup(key, &row)
	row.Stage[stage] = TableChain{First: at, Count: uint16(len(all))}
	r.put(r.tables.Chains, key, row)
	r.settings(func(s *TableSettings) { s.Stages |= 1 << stage })
}

// stagePackets has for each stage a packet that comes by, and what becomes of it otherwise.
func stagePackets(t testing.TB) map[Stage]packetCase {
	own := inner(t, macA, macVirtual, a4, f4, 9)
	in := inner(t, macFar, macVirtual, f4, a4, 9)
	return map[Stage]packetCase{
		TableStageSTAGE_SEND:  {from: 0, in: own, reason: TableReasonREASON_SEND_DIRECT},
		TableStageSTAGE_PARSE: {from: -1, in: tunnel(t, far4, host4, vni, nil, in), reason: TableReasonREASON_DELIVER},
		TableStageSTAGE_DELIVER: {from: -1, in: tunnel(t, far6, host6, vni, rts(far6, 4, false), inner(t, macFar, macVirtual, f6, a6, 9)),
			reason: TableReasonREASON_DELIVER},
		TableStageSTAGE_FORWARD: {from: -1, in: tunnel(t, bouncer4, host4, vni, rts(bouncer4, 4, false),
			inner(t, macFar, macVirtual, unknown4, f4, 9)), reason: TableReasonREASON_BOUNCE},
		TableStageSTAGE_DROP: {from: -1, in: tunnel(t, far4, host4, vni, nil, inner(t, macFar, macVirtual, b4, a4, 9)),
			reason: TableReasonDROP_SOURCE_HOST},
	}
}

// What a function is told of a packet at each stage.
func TestFunctionIsTold(t *testing.T) {
	r := newRig(t)
	told := r.probe(probe.Next, nil)
	for stage := range TableStageSTAGES {
		if stage != 0 {
			r.chain(stage, 0, 0, 10, told)
		}
	}
	tcp := inner(t, macB, macVirtual, b6, a6, 20)
	for name, c := range map[string]struct {
		stage  Stage
		from   int
		in     []byte
		reason TableReason
	}{
		"deliver, IPv6":  {TableStageSTAGE_DELIVER, -1, stagePackets(t)[TableStageSTAGE_DELIVER].in, TableReasonREASON_DELIVER},
		"deliver, local": {TableStageSTAGE_DELIVER, 1, tcp, TableReasonREASON_DELIVER_LOCAL},
		"send":           {TableStageSTAGE_SEND, 0, stagePackets(t)[TableStageSTAGE_SEND].in, TableReasonREASON_SEND_DIRECT},
		"forward":        {TableStageSTAGE_FORWARD, -1, stagePackets(t)[TableStageSTAGE_FORWARD].in, TableReasonREASON_BOUNCE},
		"drop":           {TableStageSTAGE_DROP, -1, stagePackets(t)[TableStageSTAGE_DROP].in, TableReasonDROP_SOURCE_HOST},
	} {
		for _, hook := range []string{"xdp", "tcx"} {
			told.seen()
			require.Equal(t, c.reason, r.ends(hook, c.from, c.in), "%s: %s", hook, name)
			saw := told.seen()
			at := saw.At
			what := fmt.Sprintf("%s: %s: %+v", hook, name, at)
			require.EqualValues(t, c.stage, at.Stage, what)
			require.EqualValues(t, FunctionABI, at.Abi, what)
			require.EqualValues(t, vni, at.Vni, what)
			require.EqualValues(t, len(c.in), at.Length, what)
			require.Equal(t, hook == "xdp", TableMizarFlags(at.Flags)&TableMizarFlagsMIZAR_XDP != 0, what)
			require.Equal(t, c.from < 0, TableMizarFlags(at.Flags)&TableMizarFlagsMIZAR_TUNNEL != 0, what)
			require.EqualValues(t, 17, at.Proto, what)
			require.Equal(t, c.in[at.L4:at.L4+4], []byte{1000 >> 8, 1000 & 0xff, 2000 >> 8, 2000 & 0xff}, what)
			require.Equal(t, bigEndian16(1000), at.Sport, what)
			require.Equal(t, bigEndian16(2000), at.Dport, what)
			l3 := 34
			if TableMizarFlags(at.Flags)&TableMizarFlagsMIZAR_V6 != 0 {
				l3 = 54
			}
			require.EqualValues(t, int(at.L4)-int(at.L3), l3-14, what)
			require.EqualValues(t, at.L3, at.Eth+14, what)
			if c.from >= 0 {
				require.EqualValues(t, r.agents[c.from], at.From, what)
				require.Zero(t, at.OuterSource, what)
			} else {
				require.Zero(t, at.From, what)
				require.NotZero(t, at.OuterSource, what)
				require.NotZero(t, at.Geneve, what)
			}
			if c.stage == TableStageSTAGE_DELIVER {
				require.EqualValues(t, r.agents[0], at.To, what)
				require.Equal(t, address(a6).Bytes, at.Destination.Bytes, what)
			}
			if c.stage == TableStageSTAGE_DELIVER && c.from < 0 {
				require.Equal(t, far6.AsSlice()[12:], binary.NativeEndian.AppendUint32(nil, saw.HostOfSource), what)
				require.EqualValues(t, mtu, saw.AgentMtu, what)
				require.EqualValues(t, TableNetworkKindNETWORK_BOUNCERS, saw.NetworkKind, what)
				require.EqualValues(t, 3, saw.VpcSet, what)
			}
			if c.stage == TableStageSTAGE_DROP {
				require.EqualValues(t, c.reason, at.Reason, what)
			}
		}
	}
}

func bigEndian16(v uint16) uint16 { return uint16(bigEndian32(uint32(v)) >> 16) }

// Every verdict, at every stage: what becomes of the packet, and that nothing else is counted.
func TestFunctionVerdicts(t *testing.T) {
	for stage, c := range stagePackets(t) {
		r := newRig(t)
		for _, v := range []struct {
			says   uint32
			set    map[string]uint32
			reason TableReason // 0: as without the function
		}{
			{probe.Next, nil, 0},
			{probe.Deliver, nil, 0},
			{probe.Drop, nil, probeReason},
			{probe.Pass, nil, TableReasonREASON_PASS},
			{77, nil, TableReasonDROP_FUNCTION},
			{probe.Next, map[string]uint32{"grows": 1}, TableReasonDROP_FUNCTION_LENGTH},
		} {
			want := v.reason
			switch {
			case want == 0 || stage == TableStageSTAGE_DROP: // nobody can undo a drop
				want = c.reason
			case want == TableReasonREASON_PASS && stage == TableStageSTAGE_SEND:
				want = TableReasonDROP_FUNCTION_PASS
			}
			t.Run(fmt.Sprintf("%d/%d/%v", stage, v.says, v.set), func(t *testing.T) {
				was := r.t
				r.t = t
				defer func() { r.t = was }()
				p := r.probe(v.says, v.set)
				r.chain(stage, 0, 0, 20, p)
				for _, hook := range []string{"xdp", "tcx"} {
					for range 2 {
						prog, ifindex := r.program(hook, c.from)
						r.resetCounters()
						act, _ := r.run(prog, ifindex, c.in)
						require.Equal(t, map[TableReason]uint64{want: 1}, r.counters(), hook)
						require.EqualValues(t, len(c.in), r.counted(want).Bytes)
						require.EqualValues(t, 1, p.seen().Count, hook)
						switch {
						case want == TableReasonREASON_PASS:
							require.Equal(t, pass, act)
						case want >= TableReasonREASON_DROP_FIRST:
							require.Equal(t, action("drop"), act)
						default:
							require.Equal(t, transmit, act)
						}
					}
				}
			})
		}
	}
}

// Chains of the host, the VPC and the endpoint follow each other, and other VPCs and endpoints have theirs.
func TestChainsCompose(t *testing.T) {
	r := newRig(t)
	c := stagePackets(t)[TableStageSTAGE_DELIVER]
	probes := make([]*probed, 8)
	for i := range probes {
		probes[i] = r.probe(probe.Next, nil)
	}
	deliver := TableStageSTAGE_DELIVER
	r.chain(deliver, 0, 0, 30, probes[0], probes[1])
	r.chain(deliver, vni, 0, 40, probes[2])
	r.chain(deliver, vni, uint32(r.agents[0]), 50, probes[3], probes[4])
	r.chain(deliver, otherVNI, 0, 60, probes[5])
	r.chain(deliver, vni, uint32(r.agents[1]), 70, probes[6])
	r.chain(TableStageSTAGE_FORWARD, vni, 0, 80, probes[7])
	for _, hook := range []string{"xdp", "tcx"} {
		for range 2 {
			require.Equal(t, c.reason, r.ends(hook, c.from, c.in))
			for i, p := range probes {
				s := p.seen()
				if i < 5 {
					require.EqualValues(t, 1, s.Count, "%s: %d", hook, i)
					require.EqualValues(t, i, s.Order, "%s: %d", hook, i)
				} else {
					require.Zero(t, s.Count, "%s: %d", hook, i)
				}
			}
		}
	}
}

// Deliver leaves out what is behind it, in the chains of the VPC and the endpoint too.
func TestDeliverLeavesOut(t *testing.T) {
	r := newRig(t)
	c := stagePackets(t)[TableStageSTAGE_DELIVER]
	first, second, third := r.probe(probe.Deliver, nil), r.probe(probe.Next, nil), r.probe(probe.Next, nil)
	r.chain(TableStageSTAGE_DELIVER, 0, 0, 30, first, second)
	r.chain(TableStageSTAGE_DELIVER, vni, 0, 40, third)
	for _, hook := range []string{"xdp", "tcx"} {
		require.Equal(t, c.reason, r.ends(hook, c.from, c.in))
		require.EqualValues(t, 1, first.seen().Count)
		require.Zero(t, second.seen().Count+third.seen().Count)
	}
}

// A drop runs through the functions of its own stage, also one of a function.
func TestDropOfAFunctionIsSeen(t *testing.T) {
	r := newRig(t)
	c := stagePackets(t)[TableStageSTAGE_SEND]
	drops, logs := r.probe(probe.Drop, nil), r.probe(probe.Next, nil)
	r.chain(TableStageSTAGE_SEND, vni, uint32(r.agents[0]), 30, drops)
	r.chain(TableStageSTAGE_DROP, vni, uint32(r.agents[0]), 40, logs)
	for _, hook := range []string{"xdp", "tcx"} {
		require.Equal(t, probeReason, r.ends(hook, c.from, c.in))
		at := logs.seen()
		require.EqualValues(t, 1, at.Count)
		require.EqualValues(t, probeReason, at.At.Reason)
		// And what the pipeline drops before there is a stage.
		require.Equal(t, TableReasonDROP_SPOOF_MAC, r.ends(hook, 0, inner(t, macB, macVirtual, a4, f4, 9)))
		require.EqualValues(t, TableReasonDROP_SPOOF_MAC, logs.seen().At.Reason)
	}
}

// An empty slot is a counted drop: at the first function, and at any other.
func TestMissingFunction(t *testing.T) {
	r := newRig(t)
	c := stagePackets(t)[TableStageSTAGE_PARSE]
	p := r.probe(probe.Next, nil)
	for count, want := range map[uint16]TableReason{2: TableReasonDROP_FUNCTION, 1: TableReasonDROP_NO_FUNCTION} {
		if count == 2 {
			r.chain(TableStageSTAGE_PARSE, 0, 0, 30, p)
		} else {
			r.chain(TableStageSTAGE_PARSE, 0, 0, 50)
		}
		var row TableChains
		require.NoError(t, r.tables.Chains.Lookup(TableChainKey{}, &row))
		row.Stage[TableStageSTAGE_PARSE].Count = count
		r.put(r.tables.Chains, TableChainKey{}, row)
		for _, hook := range []string{"xdp", "tcx"} {
			require.Equal(t, want, r.ends(hook, c.from, c.in), hook)
		}
	}
}

// What a function writes is in the packet that goes on.
func TestFunctionWrites(t *testing.T) {
	r := newRig(t)
	p := r.probe(probe.Next, map[string]uint32{"where": 20 + 8 + 3, "mark": 5}) // payload: zeroes
	in := inner(t, macA, macVirtual, a4, f4, 9)
	r.chain(TableStageSTAGE_SEND, 0, 0, 30, p)
	for _, hook := range []string{"xdp", "tcx"} {
		prog, ifindex := r.program(hook, 0)
		act, out := r.run(prog, ifindex, in)
		require.Equal(t, transmit, act)
		require.Equal(t, byte(5), out[50+14+20+8+3])
	}
}

// What is not a function is refused, and so is one for another version.
func TestLoadFunctionRefuses(t *testing.T) {
	r := newRig(t)
	load := func(change func(*ebpf.CollectionSpec)) error {
		spec := probe.Spec(t, probe.Next, nil)
		change(spec)
		f, err := LoadFunction(r.tables, "probe", spec, nil)
		if err == nil {
			require.NoError(t, f.Close())
		}
		return err
	}
	require.NoError(t, load(func(*ebpf.CollectionSpec) {}))
	for name, change := range map[string]func(*ebpf.CollectionSpec){
		"another ABI":   func(s *ebpf.CollectionSpec) { require.NoError(t, s.Variables[functionABI].Set(uint32(FunctionABI+1))) },
		"no function.h": func(s *ebpf.CollectionSpec) { delete(s.Variables, functionABI) },
		"no tcx":        func(s *ebpf.CollectionSpec) { delete(s.Programs, functionTCX) },
		"another type":  func(s *ebpf.CollectionSpec) { s.Programs[functionTCX] = s.Programs[functionXDP] },
		"no frags":      func(s *ebpf.CollectionSpec) { s.Programs[functionXDP].Flags = 0 },
	} {
		require.ErrorIs(t, load(change), ErrABI, name)
	}
	require.NoError(t, load(func(s *ebpf.CollectionSpec) { delete(s.Programs, functionXDP) }))
	err := load(func(s *ebpf.CollectionSpec) {
		p := s.Programs[functionTCX]
		p.Instructions = p.Instructions[1:] // reads what was never written
	})
	var verifier *ebpf.VerifierError
	require.ErrorAs(t, err, &verifier)
	require.Equal(t, []string{probe.Reason}, FunctionReasons(probe.Spec(t, probe.Next, nil)))
}

// A function endpoint gets tunnel packets as they came, outer headers, options and all, but for the MACs.
func TestFunctionEndpoint(t *testing.T) {
	r := newRig(t)
	function := netip.MustParseAddr("203.0.113.77")
	row := TableEndpoint{Kind: TableEndpointKindENDPOINT_FUNCTION, Ifindex: uint32(r.agents[1])}
	r.put(r.tables.Endpoints, TableEndpointKey{Vni: vni, Addr: address(function)}, row)
	for _, options := range [][]byte{nil, rts(far4, 4, false)} {
		in := tunnel(t, far4, host4, vni, options, inner(t, macFar, macVirtual, f4, function, 9))
		r.check(packetCase{name: "whole", from: -1, in: in, reason: TableReasonREASON_DELIVER, out: delivered(in, macB)})
	}
	// From an endpoint here too, between addresses that stand for no host.
	dummy := netip.MustParseAddr("192.0.0.8")
	own := inner(t, macA, macVirtual, a4, function, 9)
	r.check(packetCase{name: "from here", from: 0, in: own, reason: TableReasonREASON_DELIVER_LOCAL,
		out: delivered(tunnel(t, dummy, dummy, vni, nil, sent(own)), macB)})
	fits := mtu - 50 // what is around it
	r.check(packetCase{name: "from here, as large as it may be", from: 0, reason: TableReasonREASON_DELIVER_LOCAL,
		in: inner(t, macA, macVirtual, a4, function, fits-28)})
	r.check(packetCase{name: "from here, too big", from: 0, reason: TableReasonREASON_TOO_BIG_REPLY,
		in: inner(t, macA, macVirtual, a4, function, fits-28+1)})
	in := tunnel(t, far4, host4, vni, nil, inner(t, macFar, macVirtual, f4, function, 1450))
	r.check(packetCase{name: "too big", from: -1, in: in, reason: TableReasonDROP_TOO_BIG})
	row.Ifindex, row.Host = 0, address(far4)
	r.put(r.tables.Endpoints, TableEndpointKey{Vni: vni, Addr: address(function)}, row)
	r.check(packetCase{name: "elsewhere", from: 0, in: inner(t, macA, macVirtual, a4, function, 9), reason: TableReasonREASON_SEND_DIRECT})
}

// Transit knows from the start who sent what an agent hands to it: a drop is seen by the endpoint's functions.
func TestDropOfALocalPacketIsSeen(t *testing.T) {
	r := newRig(t)
	// To an address that is not there, by the time that transit looks: 203.0.113.x, of b, plus 100.
	moves := r.probe(probe.Next, map[string]uint32{"where": 19, "mark": 100})
	logs := r.probe(probe.Next, nil)
	r.chain(TableStageSTAGE_SEND, 0, 0, 30, moves)
	r.chain(TableStageSTAGE_DROP, vni, uint32(r.agents[0]), 40, logs)
	for _, hook := range []string{"xdp", "tcx"} {
		logs.seen()
		require.Equal(t, TableReasonDROP_NO_ENDPOINT, r.ends(hook, 0, inner(t, macA, macVirtual, a4, b4, 9)))
		saw := logs.seen()
		require.EqualValues(t, 1, saw.Count, hook)
		require.EqualValues(t, r.agents[0], saw.At.From, hook)
	}
}

// Chains whose keys lead to one place are each their own; one that is not there is not another's; and what is read in the
// memory of another's row is none.
func TestKnownChains(t *testing.T) {
	r := newRig(t)
	place := func(v, ifindex uint32) uint32 { return (v<<12 ^ ifindex) * 0x9e3779b1 >> (32 - 8) }
	same := uint32(vni + 1)
	for place(same, 0) != place(vni, 0) {
		same++
	}
	port := uint32(1000) // of an endpoint: nothing is sent there in a test's run
	for place(vni, port) != place(vni, 0) {
		port++
	}
	r.put(r.tables.VPCs, same, TableVpc{Vni: same, Generation: 3})
	for i, v := range []uint32{vni, same} {
		at := port + uint32(i)
		r.put(r.tables.Agents, at, TableAgent{Vni: v, Mac: [6]byte(macA), Mtu: mtu})
		r.endpoint(v, a4, TableEndpoint{Ifindex: at})
	}
	r.endpoint(same, f4, TableEndpoint{Host: address(far4)})
	const deliver = TableStageSTAGE_DELIVER
	one, two := r.probe(probe.Next, nil), r.probe(probe.Next, nil)
	r.chain(deliver, vni, 0, 30, one)
	r.chain(deliver, same, 0, 40, two)
	r.put(r.tables.Chains, TableChainKey{Vni: same, Ifindex: port + 1}, TableChains{Vni: vni, Ifindex: port + 1,
		Stage: [6]TableChain{deliver: {First: 30, Count: 1}}})
	run := func(hook string, v uint32, wantOne, wantTwo uint64) {
		t.Helper()
		in := tunnel(t, far4, host4, v, nil, inner(t, macFar, macVirtual, f4, a4, 9))
		require.Equal(t, TableReasonREASON_DELIVER, r.ends(hook, -1, in), hook)
		require.Equal(t, [2]uint64{wantOne, wantTwo}, [2]uint64{one.seen().Count, two.seen().Count}, hook)
	}
	for _, hook := range []string{"xdp", "tcx"} {
		for range 3 {
			run(hook, vni, 1, 0)
			run(hook, same, 0, 1)
		}
	}
	// And it ends when it is said to.
	for _, hook := range []string{"xdp", "tcx"} {
		r.chain(deliver, same, 0, 40, two)
		run(hook, same, 0, 1)
		require.NoError(t, r.tables.Chains.Delete(TableChainKey{Vni: same}))
		r.nextEpoch()
		run(hook, same, 0, 0)
	}
}
