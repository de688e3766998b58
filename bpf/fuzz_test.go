// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/require"
)

// T1: whatever the bytes are, a packet gets one verdict, and only a packet that an independent decoder
// understands is delivered or sent on.
func TestT1AnyBytes(t *testing.T) {
	r := newRig(t)
	rng := rand.New(rand.NewPCG(1, 2))
	in, in6 := inner(t, macFar, macVirtual, f4, a4, 64), inner(t, macFar, macVirtual, f6, a6, 64)
	seeds := [][]byte{
		tunnel(t, far4, host4, vni, nil, in), tunnel(t, far6, host6, vni, nil, in6),
		tunnel(t, bouncer4, host4, vni, rts(far4, 4, false), in), tunnel(t, far4, host4, vni, rts(far4, 4, true), in),
		tunnel(t, far4, host4, vni, nil, arp(t, 1, macFar, broadcast, macFar, f4, make([]byte, 6), a4)),
		tunnel(t, far6, host6, vni, nil, solicit(t, f6, a6, macA)),
		tunnel(t, far4, host4, vni, nil, tagged(in, 0x8100, 5)), outerOptions(tunnel(t, far4, host4, vni, nil, in)),
		tunnel(t, far6, host6, vni, nil, behindHeader(in6, 60)),
	}
	mine := [][]byte{inner(t, macA, macVirtual, a4, f4, 64), inner(t, macA, macVirtual, a6, b6, 64),
		arp(t, 1, macA, broadcast, macA, a4, make([]byte, 6), f4), solicit(t, a6, f6, macA),
		tagged(inner(t, macA, macVirtual, a4, b4, 64), 0x8100, 5), behindHeader(inner(t, macA, macVirtual, a6, b6, 64), 44)}
	for i := range 6000 {
		from, seed := -1, seeds[i%len(seeds)]
		if i%3 == 0 {
			from, seed = 0, mine[i%len(mine)]
		}
		b := append([]byte(nil), seed...)
		for range 1 + rng.IntN(3) {
			// Lengths and types are where it hurts: the headers, mostly.
			b[12+rng.IntN(min(len(b), 140)-12)] = byte(rng.Uint32())
		}
		if rng.IntN(4) == 0 {
			b = b[:max(34, rng.IntN(len(b)+1))]
		}
		for _, hook := range []string{"xdp", "tcx"} {
			prog, ifindex := r.program(hook, from)
			if hook == "tcx" && b[12] == 0x86 && b[13] == 0xdd && len(b) < 54 {
				continue // a run makes no such skb
			}
			before := r.counters()
			act, out := r.run(prog, ifindex, b)
			after := r.counters()
			var reason TableReason
			var n uint64
			for k, v := range after {
				if v != before[k] {
					reason, n = k, n+v-before[k]
				}
			}
			if hook == "tcx" && from < 0 && act == pass && n == 0 {
				continue // behind XDP, which counted it
			}
			require.Equal(t, uint64(1), n, "%s %x: one verdict", hook, b)
			switch {
			case reason >= TableReasonREASON_DROP_FIRST:
				require.Equal(t, drop, act, "%s %x %v", hook, b, reason)
			case reason == TableReasonREASON_PASS || reason == TableReasonREASON_TO_TCX:
				require.Equal(t, pass, act)
				require.Negative(t, from, "nothing that an endpoint sends is passed to the host")
				require.Equal(t, b, out)
			case reason == TableReasonREASON_DELIVER || reason == TableReasonREASON_DELIVER_LOCAL:
				packet := gopacket.NewPacket(out, layers.LayerTypeEthernet, gopacket.Default)
				require.NotNil(t, packet.NetworkLayer(), "%s %x gave %x", hook, b, out)
			}
		}
	}
}

// T5: an endpoint's MAC and addresses are its own, or of its allowed prefixes.
func TestT5Identity(t *testing.T) {
	r := newRig(t)
	spare4, spare6 := netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("2001:db8:9::7")
	to4, to6 := inner(t, macA, macVirtual, spare4, b4, 9), inner(t, macA, macVirtual, spare6, b6, 9)
	for _, c := range []packetCase{
		{name: "not its own", in: to4, reason: TableReasonDROP_SPOOF_ADDRESS},
		{name: "not its own 6", in: to6, reason: TableReasonDROP_SPOOF_ADDRESS},
		{name: "of a neighbour", in: inner(t, macA, macVirtual, b4, f4, 9), reason: TableReasonDROP_SPOOF_ADDRESS},
		{name: "of the other tenant's interface", from: 2, in: inner(t, macC, macVirtual, b4, a4, 9), reason: TableReasonDROP_SPOOF_ADDRESS},
		{name: "another's mac", in: inner(t, macB, macVirtual, a4, b4, 9), reason: TableReasonDROP_SPOOF_MAC},
		{name: "the virtual mac", in: inner(t, macVirtual, macVirtual, a4, b4, 9), reason: TableReasonDROP_SPOOF_MAC},
		{name: "unspecified", in: inner(t, macA, macVirtual, netip.IPv4Unspecified(), b4, 9), reason: TableReasonDROP_INNER_ADDRESS},
		{name: "loopback", in: inner(t, macA, macVirtual, netip.MustParseAddr("127.0.0.1"), b4, 9), reason: TableReasonDROP_INNER_ADDRESS},
		{name: "link-local", in: inner(t, macA, macVirtual, netip.MustParseAddr("fe80::1"), b6, 9), reason: TableReasonDROP_SPOOF_ADDRESS},
	} {
		r.check(c)
	}
	r.allow(r.agents[0], "198.51.100.0/24")
	r.allow(r.agents[0], "2001:db8:9::/64")
	r.put(r.tables.Agents, uint32(r.agents[0]), TableAgent{Vni: vni, Mac: [6]byte(macA), Mtu: mtu, Traffic: 2, Flags: TableAgentFlagsAGENT_ALLOWED})
	for _, c := range []packetCase{
		{name: "allowed", in: to4, reason: TableReasonREASON_DELIVER_LOCAL},
		{name: "allowed 6", in: to6, reason: TableReasonREASON_DELIVER_LOCAL},
		{name: "arp for an allowed address", in: arp(t, 1, macA, broadcast, macA, spare4, make([]byte, 6), b4), reason: TableReasonREASON_ANSWER},
		{name: "allowed to another interface only", from: 1, in: mutate(to4, func(b []byte) { copy(b[6:], macB) }), reason: TableReasonDROP_SPOOF_ADDRESS},
	} {
		r.check(c)
	}
}

// T8: no tables make a packet go round. Two hosts that think the other knows lose it within its hops.
func TestT8NoLoop(t *testing.T) {
	r := newRig(t)
	in := inner(t, macFar, macVirtual, unknown4, f4, 9)
	for _, hook := range []string{"xdp", "tcx"} {
		for hops := byte(4); ; hops-- {
			r.resetCounters()
			p, ifindex := r.program(hook, -1)
			// The far host knows no better, and sends it on to us by a third, as it got it.
			act, out := r.run(p, ifindex, tunnel(t, bouncer4, host4, vni, rts(bouncer4, hops, false), in))
			if hops == 0 {
				require.Equal(t, drop, act)
				require.Equal(t, map[TableReason]uint64{TableReasonDROP_HOPS: 1}, r.counters())
				break
			}
			require.Equal(t, transmit, act)
			sent := gopacket.NewPacket(out, layers.LayerTypeEthernet, gopacket.Default)
			require.Equal(t, hops-1, sent.Layer(layers.LayerTypeGeneve).(*layers.Geneve).Options[0].Data[0])
		}
	}
}

// T9: the same addresses and MACs in two VPCs are two worlds, also for what is learned.
func TestT9TenantsApart(t *testing.T) {
	r := newRig(t)
	in := inner(t, macFar, macVirtual, f4, a4, 9)
	for _, v := range []struct {
		vni uint32
		mac []byte
	}{{vni, macA}, {otherVNI, macC}} {
		r.check(packetCase{name: "delivered by VNI", from: -1, in: tunnel(t, far4, host4, v.vni, nil, in),
			reason: TableReasonREASON_DELIVER, out: delivered(in, v.mac)})
	}
	r.check(packetCase{name: "no such endpoint in the other", from: -1, reason: TableReasonREASON_RETURN,
		in: tunnel(t, far4, host4, otherVNI, nil, inner(t, macFar, macVirtual, f4, b4, 9))})
	r.check(packetCase{name: "nor for its neighbours", from: 2, reason: TableReasonDROP_NO_NETWORK, in: inner(t, macC, macVirtual, a4, b4, 9)})
	// A row that was another's a moment ago: the interface's own VNI decides.
	r.check(packetCase{name: "stale row", from: -1, in: tunnel(t, far4, host4, vni, nil, in), reason: TableReasonDROP_TENANT,
		prepare: func(r *rig) { r.endpoint(vni, a4, TableEndpoint{Ifindex: uint32(r.agents[2])}) }})
}
