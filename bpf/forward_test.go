// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"net/netip"
	"testing"
)

// overlay are addresses of one family inside.
type overlay struct {
	name                          string
	a, b, far, unknown, elsewhere netip.Addr
}

// underlay are hosts of one family outside.
type underlay struct {
	name                        string
	host, far, bouncer, divider netip.Addr
}

var (
	overlays = []overlay{
		{"4", a4, b4, f4, unknown4, elsewhere4},
		{"6", a6, b6, f6, unknown6, elsewhere6},
	}
	underlays = []underlay{
		{"4", host4, far4, bouncer4, divider4},
		{"6", host6, far6, bouncer6, divider6},
	}
)

// forwardedPackets are what each role does in each pair of families, inside and outside. What is sent on
// may leave on an underlay of the other family than it came by.
func forwardedPackets(t testing.TB) (all []packetCase) {
	for _, in := range overlays {
		local := inner(t, macA, macVirtual, in.a, in.b, 100)
		all = append(all, packetCase{name: "agent local " + in.name, in: local,
			reason: TableReasonREASON_DELIVER_LOCAL, out: delivered(local, macB)})
		for _, u := range underlays {
			all = append(all, sentPackets(t, in, u)...)
			all = append(all, deliveredPackets(t, in, u)...)
			for _, to := range underlays {
				all = append(all, relayedPackets(t, in, u, to)...)
			}
		}
	}
	return all
}

// by makes hosts of one family those that the tables name.
func (in overlay) by(u underlay) func(*rig) {
	return func(r *rig) {
		r.endpoint(vni, in.far, TableEndpoint{Host: address(u.far)})
		r.set(1, 0, u.bouncer)
		r.set(2, 0, u.bouncer)
		r.set(3, 0, u.divider)
	}
}

// sentPackets are what an agent encapsulates.
func sentPackets(t testing.TB, in overlay, u underlay) []packetCase {
	name := in.name + " in " + u.name
	direct := inner(t, macA, macVirtual, in.a, in.far, 100)
	first := inner(t, macA, macVirtual, in.a, in.unknown, 100)
	away := inner(t, macA, macVirtual, in.a, in.elsewhere, 100)
	return []packetCase{
		{name: "agent direct " + name, in: direct, prepare: in.by(u), reason: TableReasonREASON_SEND_DIRECT,
			out: tunnel(t, u.host, u.far, vni, nil, sent(direct))},
		{name: "agent bouncer " + name, in: first, prepare: in.by(u), reason: TableReasonREASON_SEND_BOUNCER,
			out: tunnel(t, u.host, u.bouncer, vni, rts(u.host, 4, false), sent(first))},
		{name: "agent divider " + name, in: away, reason: TableReasonREASON_SEND_DIVIDER,
			out: tunnel(t, u.host, u.divider, vni, rts(u.host, 4, false), sent(away)),
			prepare: func(r *rig) { // whose own bouncer is this host
				in.by(u)(r)
				r.set(1, TableSetFlagsSET_SELF, u.host)
				r.set(2, TableSetFlagsSET_SELF, u.host)
			}},
	}
}

// deliveredPackets are what ends on this host, or turns back here.
func deliveredPackets(t testing.TB, in overlay, u underlay) []packetCase {
	name := in.name + " in " + u.name
	arrived := inner(t, macFar, macVirtual, in.far, in.a, 100)
	gone := inner(t, macFar, macVirtual, in.far, in.unknown, 100)
	return []packetCase{
		{name: "deliver " + name, from: -1, prepare: in.by(u), reason: TableReasonREASON_DELIVER,
			in: tunnel(t, u.far, u.host, vni, nil, arrived), out: delivered(arrived, macA)},
		{name: "deliver bounced " + name, from: -1, prepare: in.by(u), reason: TableReasonREASON_DELIVER,
			in: tunnel(t, u.bouncer, u.host, vni, rts(u.far, 3, false), arrived), out: delivered(arrived, macA)},
		{name: "return " + name, from: -1, prepare: in.by(u), reason: TableReasonREASON_RETURN,
			in:  tunnel(t, u.far, u.host, vni, nil, gone),
			out: tunnel(t, u.host, u.far, vni, rts(u.host, 4, true), gone)},
	}
}

// relayedPackets come by one underlay and leave by another.
func relayedPackets(t testing.TB, in overlay, u, to underlay) []packetCase {
	name := in.name + " from " + u.name + " to " + to.name
	// An option of somebody else's, which goes along.
	other := []byte{1, 2, 3, 1, 4, 5, 6, 7}
	bounced := inner(t, macFar, macVirtual, in.unknown, in.far, 100)
	network := inner(t, macFar, macVirtual, in.far, in.unknown, 100)
	away := inner(t, macFar, macVirtual, in.far, in.elsewhere, 100)
	back := inner(t, macA, macVirtual, in.a, in.unknown, 100)
	return []packetCase{
		{name: "bounce " + name, from: -1, prepare: in.by(to), reason: TableReasonREASON_BOUNCE,
			in:  tunnel(t, u.bouncer, u.host, vni, append(rts(u.bouncer, 4, false), other...), bounced),
			out: tunnel(t, to.host, to.far, vni, append(rts(u.bouncer, 3, false), other...), bounced)},
		{name: "divide network " + name, from: -1, prepare: in.by(to), reason: TableReasonREASON_DIVIDE_NETWORK,
			in:  tunnel(t, u.divider, u.host, vni, rts(u.far, 3, false), network),
			out: tunnel(t, to.host, to.bouncer, vni, rts(u.far, 2, false), network)},
		{name: "divide vpc " + name, from: -1, prepare: in.by(to), reason: TableReasonREASON_DIVIDE_VPC,
			in:  tunnel(t, u.far, u.host, vni, append(other, rts(u.far, 1, false)...), away),
			out: tunnel(t, to.host, to.divider, vni, append(other, rts(u.far, 0, false)...), away)},
		{name: "reroute " + name, from: -1, reason: TableReasonREASON_REROUTE,
			prepare: func(r *rig) {
				in.by(to)(r)
				r.learned(vni, in.unknown, u.far)
			},
			in:  tunnel(t, u.far, u.host, vni, rts(u.far, 4, true), back),
			out: tunnel(t, to.host, to.bouncer, vni, rts(to.host, 4, false), back)},
	}
}

func TestPacketsForwarded(t *testing.T) {
	newRig(t).table(forwardedPackets(t))
}
