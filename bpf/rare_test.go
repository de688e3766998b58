// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
	"github.com/stretchr/testify/require"
)

// outerOptions puts four bytes of IPv4 options into a tunnel packet's outer header.
func outerOptions(b []byte) []byte {
	c := append(append([]byte(nil), b[:34]...), 1, 1, 1, 0)
	c = append(c, b[34:]...)
	c[14]++
	binary.BigEndian.PutUint16(c[16:], binary.BigEndian.Uint16(c[16:])+4)
	c[24], c[25] = 0, 0
	binary.BigEndian.PutUint16(c[24:], internet(c[14:38]))
	return c
}

func (r *rig) remove(m *ebpf.Map, key any) {
	r.t.Helper()
	require.NoError(r.t, m.Delete(key))
	r.nextEpoch()
}

// passedPackets are no tunnel packets for this host. tcx counts them where no XDP program did.
func passedPackets(t testing.TB) []packetCase {
	in := inner(t, macFar, macVirtual, f4, a4, 9)
	ok, ok6 := tunnel(t, far4, host4, vni, nil, in), tunnel(t, far6, host6, vni, nil, in)
	short := netip.MustParseAddr("198.51.23.193")
	mapped := func(b []byte, at int, v4 netip.Addr) []byte {
		return mutate(b, func(b []byte) { a := v4.As16(); copy(b[14+at:], a[:]) })
	}
	all := []packetCase{
		{name: "another port", in: mutate(ok, func(b []byte) { b[37]++ })},
		{name: "another host", in: tunnel(t, far4, bouncer4, vni, nil, in)},
		{name: "another protocol", in: mutate(ok, func(b []byte) { b[23] = 6 })},
		{name: "version", in: mutate(ok, func(b []byte) { b[14] = 0x55 })},
		// The address would be the ports of such a short header: 0x17c1 is 6081.
		{name: "ihl", in: mutate(tunnel(t, far4, short, vni, nil, in), func(b []byte) { b[14] = 0x44 })},
		{name: "later fragment", in: mutate(ok, func(b []byte) { b[21] = 1 })},
		{name: "version 6", in: mutate(ok6, func(b []byte) { b[14] = 0x50 })},
		{name: "header behind ipv6", in: mutate(ok6, func(b []byte) { b[20] = 60 })},
		{name: "arp", in: arp(t, 1, macFar, broadcast, macFar, far4, make([]byte, 6), host4)},
		{name: "ends in udp", in: ok[:14+20+7]},
		{name: "ends in ipv4", in: ok[:14+19], only: "xdp" /* a run makes no such skb */},
		{name: "ends in ipv6", in: ok6[:14+39], only: "xdp"},
		// In the tables, mapped addresses are IPv4's: whom a filter of IPv4 keeps away could be a peer (T11).
		{name: "mapped source", in: mapped(ok6, 8, far4)},
		{name: "mapped destination", in: mapped(ok6, 24, host4)},
		{name: "unspecified destination", in: tunnel(t, far6, netip.IPv6Unspecified(), vni, nil, in), prepare: func(r *rig) {
			r.put(r.tables.Droplets, uint32(r.droplet), TableDroplet{Source4: address(host4), Mac: [6]byte(macDroplet), Mtu: mtu})
		}},
	}
	for i := range all {
		all[i].from, all[i].action, all[i].reason = -1, pass, TableReasonREASON_PASS
		all[i].out = all[i].in
		if all[i].prepare != nil {
			continue
		}
		all[i].prepare = func(r *rig) {
			r.put(r.tables.Addresses, address(short), uint32(r.droplet))
			r.put(r.tables.Droplets, uint32(r.droplet), TableDroplet{Source4: address(host4),
				Source6: address(host6), Mac: [6]byte(macDroplet), Mtu: mtu, Traffic: 1})
		}
	}
	return all
}

// rareTunnels are tunnel packets of uncommon form, or that meet uncommon tables.
func rareTunnels(t testing.TB) []packetCase {
	in, other := inner(t, macFar, macVirtual, f4, a4, 100), netip.MustParseAddr("192.0.2.60")
	toUnknown := inner(t, macFar, macVirtual, f4, unknown4, 100)
	toFar := inner(t, macFar, macVirtual, unknown4, f4, 100)
	ask := arp(t, 1, macFar, broadcast, macFar, f4, make([]byte, 6), a4)
	mine := func(to netip.Addr) []byte { return inner(t, macA, macVirtual, a4, to, 100) }
	many := make([]byte, 0, 240)
	for range 60 {
		many = append(many, 1, 2, 3, 0)
	}
	bounce := tunnel(t, bouncer4, host4, vni, rts(bouncer4, 4, false), toFar)
	all := []packetCase{
		{name: "outer options", in: outerOptions(tunnel(t, far4, host4, vni, nil, in)), reason: TableReasonREASON_DELIVER, out: delivered(in, macA)},
		{name: "bounced without outer options", in: outerOptions(bounce), reason: TableReasonREASON_BOUNCE,
			out: tunnel(t, host4, far4, vni, rts(bouncer4, 3, false), toFar)},
		{name: "asked with outer options", in: outerOptions(tunnel(t, far4, host4, vni, nil, ask)), reason: TableReasonDROP_UNSUPPORTED},
		{name: "no room for an option", in: tunnel(t, far4, host4, vni, many, toUnknown), reason: TableReasonDROP_OPTION_LENGTH},
		{name: "source is of another droplet", in: tunnel(t, other, host4, vni, nil, in), reason: TableReasonDROP_OUTER_SOURCE,
			prepare: func(r *rig) { r.put(r.tables.Addresses, address(other), uint32(1)) }},
		{name: "unknown here, the bouncer", in: tunnel(t, far4, host4, vni, rts(far4, 4, false), toUnknown), reason: TableReasonDROP_NO_ENDPOINT,
			prepare: func(r *rig) { r.set(1, TableSetFlagsSET_SELF, host4) }},
		{name: "unknown here, the divider", reason: TableReasonDROP_NO_NETWORK,
			in:      tunnel(t, far4, host4, vni, rts(far4, 4, false), inner(t, macFar, macVirtual, f4, elsewhere4, 9)),
			prepare: func(r *rig) { r.set(3, TableSetFlagsSET_SELF, host4) }},
		{name: "slot of no member", in: tunnel(t, far4, host4, vni, rts(far4, 4, false), toUnknown), reason: TableReasonDROP_SET,
			prepare: func(r *rig) {
				s := TableSet{Count: 1}
				for i := range s.Slots {
					s.Slots[i] = 64
				}
				r.put(r.tables.Sets, uint32(1), s)
			}},
		{name: "empty set", in: tunnel(t, far4, host4, vni, rts(far4, 4, false), toUnknown), reason: TableReasonDROP_SET,
			prepare: func(r *rig) { r.put(r.tables.Sets, uint32(1), TableSet{}) }},
		{name: "network of another kind", in: tunnel(t, far4, host4, vni, rts(far4, 4, false), toUnknown), reason: TableReasonDROP_KIND,
			prepare: func(r *rig) { r.network(vni, "203.0.113.0/24", TableNetwork{Kind: 99}) }},
		{name: "endpoint of another kind", in: tunnel(t, far4, host4, vni, nil, in), reason: TableReasonDROP_KIND,
			prepare: func(r *rig) {
				r.put(r.tables.Endpoints, TableEndpointKey{Vni: vni, Addr: address(a4)}, TableEndpoint{Kind: 2})
			}},
		{name: "came back, and lives here now", in: tunnel(t, far4, host4, vni, rts(far4, 4, true), mine(b4)),
			reason: TableReasonREASON_DELIVER, out: delivered(mine(b4), macB),
			prepare: func(r *rig) { r.learned(vni, b4, far4) }},
		{name: "came back, and lives elsewhere", in: tunnel(t, bouncer4, host4, vni, rts(bouncer4, 4, true), mine(f4)),
			reason: TableReasonREASON_REROUTE, out: tunnel(t, host4, far4, vni, rts(host4, 4, false), mine(f4)),
			prepare: func(r *rig) { r.learned(vni, f4, bouncer4) }},
		{name: "came back, and the tables say here", in: tunnel(t, far4, host4, vni, rts(far4, 4, true), mine(f4)),
			reason: TableReasonDROP_LOOP, prepare: func(r *rig) {
				r.learned(vni, f4, far4)
				r.endpoint(vni, f4, TableEndpoint{Host: address(host4)})
			}},
		{name: "bounced, too big for the path", in: bounce, reason: TableReasonREASON_TOO_BIG_REPLY,
			prepare: func(r *rig) {
				r.put(r.tables.Paths, address(far4), TablePath{Refreshed: 1, Host: address(far4), Mtu: uint32(len(bounce) - 14 - 1), Expires: 1 << 62})
			}},
		{name: "bounced, fits the path", in: bounce, reason: TableReasonREASON_BOUNCE, prepare: func(r *rig) {
			r.put(r.tables.Paths, address(far4), TablePath{Refreshed: 1, Host: address(far4), Mtu: uint32(len(bounce) - 14), Expires: 1 << 62})
		}},
		{name: "refused by the kernel", in: bounce, only: "tcx", how: how{segment: 50}, reason: TableReasonDROP_MODIFY,
			prepare: func(r *rig) { r.endpoint(vni, f4, TableEndpoint{Host: address(far6)}) }},
		// Headers in several buffers are tcx's; what the programs do not read may lie where it wants.
		{name: "outer split", in: bounce, only: "xdp", how: how{linear: 60}, action: pass, out: bounce, reason: TableReasonREASON_TO_TCX},
		{name: "inner split", in: bounce, only: "xdp", how: how{linear: 100}, action: pass, out: bounce, reason: TableReasonREASON_TO_TCX},
		splitPayload(t, packetCase{name: "payload split", in: bounce, only: "xdp", how: how{linear: 140}, reason: TableReasonREASON_BOUNCE,
			out: tunnel(t, host4, far4, vni, rts(bouncer4, 3, false), toFar)}),
	}
	for i := range all {
		all[i].from = -1
	}
	return all
}

// rareFrames are frames of an endpoint that meet uncommon tables.
func rareFrames(t testing.TB) []packetCase {
	ok, ok6 := inner(t, macA, macVirtual, a4, f4, 100), inner(t, macA, macVirtual, a6, f6, 100)
	local := inner(t, macA, macVirtual, a4, b4, 9)
	row := TableDroplet{Source4: address(host4), Mac: [6]byte(macDroplet), Mtu: mtu, Flags: TableDropletFlagsDROPLET_XDP}
	return []packetCase{
		{name: "no agent", in: ok, reason: TableReasonDROP_NO_AGENT, prepare: func(r *rig) { r.remove(r.tables.Agents, uint32(r.agents[0])) }},
		{name: "no transit", in: local, reason: TableReasonDROP_NO_TRANSIT, prepare: func(r *rig) {
			r.remove(r.p.TransitXDPArray, uint32(0))
			r.remove(r.p.TransitTCXArray, uint32(0))
		}},
		{name: "no vpc", from: 2, in: inner(t, macC, macVirtual, a4, f4, 9), reason: TableReasonDROP_NO_VPC,
			prepare: func(r *rig) { r.remove(r.tables.VPCs, uint32(otherVNI)) }},
		{name: "no address of the family", in: ok6, reason: TableReasonDROP_NO_SOURCE,
			prepare: func(r *rig) { r.put(r.tables.Droplets, uint32(r.droplet), row) }},
		{name: "no droplet", in: ok, reason: TableReasonDROP_NO_SOURCE, prepare: func(r *rig) { r.remove(r.tables.Droplets, uint32(r.droplet)) }},
		{name: "route to a route", in: inner(t, macA, macVirtual, a4, elsewhere4, 9), reason: TableReasonDROP_NO_ENDPOINT,
			prepare: func(r *rig) {
				r.network(vni, "198.51.100.0/25", TableNetwork{Kind: TableNetworkKindNETWORK_ENDPOINT, Via: address(elsewhere4)})
			}},
		{name: "too big, and too short to quote", in: local, reason: TableReasonDROP_TOO_BIG, prepare: func(r *rig) {
			r.put(r.tables.Agents, uint32(r.agents[1]), TableAgent{Vni: vni, Mac: [6]byte(macB), Mtu: 20})
		}},
		{name: "back to itself", in: ok, reason: TableReasonDROP_LOOP, prepare: func(r *rig) {
			r.endpoint(vni, f4, TableEndpoint{Ifindex: uint32(r.agents[0])})
		}},
		{name: "no headroom", in: ok, only: "xdp", how: how{meta: 180}, reason: TableReasonDROP_MODIFY},
		{name: "no headroom for a word to tcx", cold: true, in: ok, only: "xdp", how: how{meta: 160}, reason: TableReasonDROP_NO_NEIGHBOUR,
			prepare: func(r *rig) { r.remove(r.tables.Paths, address(far4)) }},
		{name: "refused by the kernel", in: ok, only: "tcx", how: how{segment: 50}, reason: TableReasonDROP_MODIFY},
		{name: "headers split", in: ok, only: "xdp", how: how{linear: 40}, action: pass, out: ok, reason: TableReasonREASON_TO_TCX},
		splitPayload(t, packetCase{name: "payload split", in: ok, only: "xdp", how: how{linear: 60}, reason: TableReasonREASON_SEND_DIRECT,
			out: tunnel(t, host4, far4, vni, nil, sent(ok))}),
	}
}

// splitPayload is the case on kernels that redirect what lies in several buffers; before, tcx gets it.
func splitPayload(t testing.TB, c packetCase) packetCase {
	version, err := features.LinuxVersionCode()
	require.NoError(t, err)
	if version < redirectsFrags {
		c.action, c.out, c.reason = pass, c.in, TableReasonREASON_TO_TCX
	}
	return c
}

func TestPacketsPassed(t *testing.T) { newRig(t).table(passedPackets(t)) }

func TestPacketsRare(t *testing.T) {
	r := newRig(t)
	r.table(rareTunnels(t))
	r.table(rareFrames(t))
}
