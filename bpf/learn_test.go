// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

// A learned host stays believed by what comes from it, which is noted once a second.
func TestDirectIsRenewed(t *testing.T) {
	r := newRig(t)
	in := tunnel(t, far4, host4, vni, nil, inner(t, macFar, macVirtual, unknown4, a4, 9))
	for _, hook := range []string{"xdp", "tcx"} {
		p, ifindex := r.program(hook, -1)
		seen := func(age uint64) (was, is uint64) {
			was = now(t) - age
			r.put(r.tables.Directs, TableEndpointKey{Vni: vni, Addr: address(unknown4)},
				TableDirect{Host: address(far4), Generation: 1, Seen: was})
			r.run(p, ifindex, in)
			d, ok := r.direct(vni, unknown4)
			require.True(t, ok)
			return was, d.Seen
		}
		was, is := seen(2e9)
		require.GreaterOrEqual(t, is, was+2e9, hook)
		was, is = seen(1e8)
		require.Equal(t, was, is, hook)
	}
}

// Who relays for either end's network, or for the VPC, may say where an endpoint lives: nobody else.
func TestWhoRelays(t *testing.T) {
	r := newRig(t)
	other := netip.MustParseAddr("192.0.2.9")
	r.set(4, 0, other)
	r.network(vni, "198.51.100.0/25", TableNetwork{Kind: TableNetworkKindNETWORK_BOUNCERS, Set: 4})
	r.network(vni, "198.51.100.64/26", TableNetwork{Kind: TableNetworkKindNETWORK_BLACKHOLE, Set: 4})
	hole := netip.MustParseAddr("198.51.100.65")
	r.endpoint(vni, hole, TableEndpoint{Host: address(far4)})
	for _, c := range []struct {
		name  string
		relay netip.Addr
		taken bool
	}{{"of the source", other, true}, {"of the destination", bouncer4, true}, {"of the VPC", divider4, true},
		{"of nothing", netip.MustParseAddr("192.0.2.10"), false}} {
		r.check(packetCase{name: c.name, from: -1, reason: TableReasonREASON_DELIVER,
			in:      tunnel(t, c.relay, host4, vni, rts(far4, 3, false), inner(t, macFar, macVirtual, elsewhere4, a4, 9)),
			prepare: func(r *rig) { r.tables.Directs.Delete(TableEndpointKey{Vni: vni, Addr: address(elsewhere4)}) }})
		_, ok := r.direct(vni, elsewhere4)
		require.Equal(t, c.taken, ok, c.name)
	}
	// A black hole has no bouncers, whatever its row says.
	r.check(packetCase{name: "of a black hole", from: -1, reason: TableReasonDROP_SOURCE_HOST,
		in: tunnel(t, other, host4, vni, rts(far4, 3, false), inner(t, macFar, macVirtual, hole, a4, 9))})
}

// A packet that comes back is ours only if it is from here, and comes from where it went.
func TestWhatComesBack(t *testing.T) {
	r := newRig(t)
	mine := inner(t, macA, macVirtual, a4, unknown4, 9)
	known := func(r *rig) { r.learned(vni, unknown4, far4) }
	toF := inner(t, macA, macVirtual, a4, f4, 9)
	behind := inner(t, macA, macVirtual, a4, elsewhere4, 9)
	route := func(r *rig) {
		r.network(vni, "198.51.100.0/25", TableNetwork{Kind: TableNetworkKindNETWORK_ENDPOINT, Via: address(unknown4)})
	}
	for _, c := range []packetCase{
		{name: "by another, in its name", in: tunnel(t, bouncer4, host4, vni, rts(far4, 4, true), mine), reason: TableReasonDROP_RETURN, prepare: known},
		{name: "of an endpoint elsewhere", in: tunnel(t, far4, host4, vni, rts(far4, 4, true), inner(t, macFar, macVirtual, f4, unknown4, 9)),
			reason: TableReasonDROP_RETURN, prepare: known},
		// Not there again: it has said that it does not know.
		{name: "from where the tables say it is", in: tunnel(t, far4, host4, vni, rts(far4, 4, true), toF), reason: TableReasonREASON_REROUTE,
			out: tunnel(t, host4, bouncer4, vni, rts(host4, 4, false), toF)},
		{name: "of a prefix behind an endpoint", in: tunnel(t, far4, host4, vni, rts(far4, 4, true), behind), reason: TableReasonREASON_REROUTE,
			out: tunnel(t, host4, bouncer4, vni, rts(host4, 4, false), behind), prepare: func(r *rig) { route(r); known(r) }},
		{name: "of a prefix behind an endpoint that was never there", in: tunnel(t, far4, host4, vni, rts(far4, 4, true), behind),
			reason: TableReasonDROP_RETURN, prepare: func(r *rig) {
				route(r)
				r.tables.Directs.Delete(TableEndpointKey{Vni: vni, Addr: address(unknown4)})
			}},
	} {
		c.from = -1
		r.check(c)
	}
}

// A row that is another's by the time it is read is none.
func TestRowsOfAnother(t *testing.T) {
	r := newRig(t)
	p := netip.MustParsePrefix("203.0.113.0/24")
	key := TableNetworkKey{Prefixlen: 32 + prefixBits(p), Vni: bigEndian32(vni), Addr: address(p.Addr())}
	in := inner(t, macA, macVirtual, a4, unknown4, 9)
	r.check(packetCase{name: "network", in: in, reason: TableReasonREASON_SEND_DIVIDER, prepare: func(r *rig) {
		r.put(r.tables.Networks, key, TableNetwork{Kind: TableNetworkKindNETWORK_BOUNCERS, Set: 1, Vni: otherVNI})
	}})
	r.check(packetCase{name: "vpc", in: in, reason: TableReasonDROP_NO_VPC, prepare: func(r *rig) {
		r.put(r.tables.VPCs, uint32(vni), TableVpc{Vni: otherVNI, Set: 3, Generation: 1})
	}})
	// Nor is a member behind a set's last one.
	r.fill()
	last := netip.MustParseAddr("192.0.2.9")
	s := TableSet{Count: 1}
	s.Members[0], s.Members[1] = address(bouncer4), address(last)
	r.put(r.tables.Sets, uint32(1), s)
	for host, reason := range map[netip.Addr]TableReason{bouncer4: TableReasonREASON_DELIVER, last: TableReasonDROP_SOURCE_HOST} {
		r.check(packetCase{name: "by " + host.String(), from: -1, reason: reason,
			in: tunnel(t, host, host4, vni, rts(far4, 3, false), inner(t, macFar, macVirtual, f4, a4, 9))})
	}
}
