// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"fmt"
	"net"
	"net/netip"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/require"
)

// frame serializes layers, with lengths and checksums computed.
func frame(t testing.TB, l ...gopacket.SerializableLayer) []byte {
	t.Helper()
	b := gopacket.NewSerializeBuffer()
	require.NoError(t, gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, l...))
	return b.Bytes()
}

// inner is a UDP packet of an endpoint.
func inner(t testing.TB, from, to net.HardwareAddr, src, dst netip.Addr, payload int) []byte {
	t.Helper()
	udp := &layers.UDP{SrcPort: 1000, DstPort: 2000}
	data := gopacket.Payload(make([]byte, payload))
	eth := &layers.Ethernet{SrcMAC: from, DstMAC: to, EthernetType: layers.EthernetTypeIPv4}
	if src.Is4() {
		ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: src.AsSlice(), DstIP: dst.AsSlice()}
		require.NoError(t, udp.SetNetworkLayerForChecksum(ip))
		return frame(t, eth, ip, udp, data)
	}
	eth.EthernetType = layers.EthernetTypeIPv6
	ip := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolUDP, SrcIP: src.AsSlice(), DstIP: dst.AsSlice()}
	require.NoError(t, udp.SetNetworkLayerForChecksum(ip))
	return frame(t, eth, ip, udp, data)
}

// rts is a return-to-sender option.
func rts(host netip.Addr, hops byte, critical bool) []byte {
	o := []byte{class >> 8, class & 0xff, 1, 5, hops, 0, 0, 0}
	if critical {
		o[2] |= 0x80
	}
	a := host.As16()
	return append(o, a[:]...)
}

// tunnel wraps an inner frame. The source port is compared apart.
func tunnel(t testing.TB, src, dst netip.Addr, v uint32, options, inside []byte) []byte {
	t.Helper()
	head := []byte{byte(len(options) / 4), 0, 0x65, 0x58, byte(v >> 16), byte(v >> 8), byte(v), 0}
	for at := 0; at < len(options); at += 4 + int(options[at+3]&0x1f)*4 {
		if options[at+2]&0x80 != 0 {
			head[1] |= 0x40
		}
	}
	data := gopacket.Payload(append(append(head, options...), inside...))
	udp := &layers.UDP{SrcPort: 50000, DstPort: port}
	eth := &layers.Ethernet{SrcMAC: macFar, DstMAC: macDroplet, EthernetType: layers.EthernetTypeIPv4}
	b := gopacket.NewSerializeBuffer()
	fix := gopacket.SerializeOptions{FixLengths: true}
	require.NoError(t, gopacket.SerializeLayers(b, fix, udp, data)) // checksum 0
	data = b.Bytes()
	if src.Is4() {
		return frame(t, eth, &layers.IPv4{Version: 4, TTL: 64, Flags: layers.IPv4DontFragment,
			Protocol: layers.IPProtocolUDP, SrcIP: src.AsSlice(), DstIP: dst.AsSlice()}, data)
	}
	eth.EthernetType = layers.EthernetTypeIPv6
	return frame(t, eth, &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolUDP,
		SrcIP: src.AsSlice(), DstIP: dst.AsSlice()}, data)
}

// mutate changes bytes of a copy.
func mutate(b []byte, f func([]byte)) []byte {
	c := append([]byte(nil), b...)
	f(c)
	return c
}

// normal leaves out what the hooks may do differently: the outer MACs, which tcx leaves to the kernel,
// and the outer source port, which is the flow's hash.
func normal(t *testing.T, b []byte) []byte {
	p := gopacket.NewPacket(b, layers.LayerTypeEthernet, gopacket.NoCopy)
	udp, ok := p.Layer(layers.LayerTypeUDP).(*layers.UDP)
	if !ok || udp.DstPort != port {
		return b
	}
	require.GreaterOrEqual(t, int(udp.SrcPort), 49152)
	c := append([]byte(nil), b...)
	copy(c, make([]byte, 12))
	at := 14 + len(p.NetworkLayer().LayerContents())
	c[at], c[at+1] = 0, 0
	return c
}

type packetCase struct {
	name    string
	from    int // -1: the droplet, else an endpoint
	in      []byte
	prepare func(*rig)
	reason  TableReason
	action  action // by default drop for drops, transmit for the rest
	out     []byte // nil: not looked at
	only    string // of a hook
}

func (r *rig) check(c packetCase) {
	for _, hook := range []string{"xdp", "tcx"} {
		if c.only != "" && c.only != hook {
			continue
		}
		prog := map[string][2]*ebpf.Program{
			"xdp": {r.p.TransitXDP, r.p.AgentXDP}, "tcx": {r.p.TransitTCX, r.p.AgentTCX}}[hook]
		r.t.Run(hook+"/"+c.name, func(t *testing.T) {
			was := r.t
			r.t = t
			defer func() { r.t = was }()
			r.resetCounters()
			if c.prepare != nil {
				c.prepare(r)
			}
			ifindex, p := r.droplet, prog[0]
			if c.from >= 0 {
				ifindex, p = r.agents[c.from], prog[1]
			}
			act, out := r.run(p, ifindex, c.in)
			require.Equal(t, map[TableReason]uint64{c.reason: 1}, r.counters())
			want := c.action
			switch {
			case want != "":
			case c.reason >= TableReasonREASON_DROP_FIRST:
				want = drop
			default:
				want = transmit
			}
			require.Equal(t, want, act)
			if c.out != nil {
				require.Equal(t, fmt.Sprintf("%x", normal(t, c.out)), fmt.Sprintf("%x", normal(t, out)))
			}
		})
	}
}

// delivered is a frame as an endpoint gets it.
func delivered(b []byte, to net.HardwareAddr) []byte {
	return mutate(b, func(b []byte) { copy(b, to); copy(b[6:], macVirtual) })
}

// sent is a frame as it travels inside a tunnel packet from an endpoint's host.
func sent(b []byte) []byte {
	return mutate(b, func(b []byte) { copy(b, macVirtual); copy(b[6:], macA) })
}

func TestPacketsForwarded(t *testing.T) {
	r := newRig(t)
	type family struct {
		name                          string
		a, b, far, unknown, elsewhere netip.Addr
		host, farHost, bouncer        netip.Addr
	}
	for _, in := range []family{{name: "4", a: a4, b: b4, far: f4, unknown: unknown4, elsewhere: elsewhere4},
		{name: "6", a: a6, b: b6, far: f6, unknown: unknown6, elsewhere: elsewhere6}} {
		local := inner(t, macA, macVirtual, in.a, in.b, 100)
		r.check(packetCase{name: "agent local " + in.name, from: 0, in: local,
			reason: TableReasonREASON_DELIVER_LOCAL, out: delivered(local, macB)})
		for _, o := range []family{{name: "4", host: host4, farHost: far4, bouncer: bouncer4},
			{name: "6", host: host6, farHost: far6, bouncer: bouncer6}} {
			set := uint32(1)
			if o.name == "6" {
				set = 2
			}
			name := in.name + " in " + o.name
			pair := func(r *rig) {
				r.endpoint(vni, in.far, TableEndpoint{Host: address(o.farHost)})
				for _, p := range []string{"203.0.113.0/24", "2001:db8:7::/64"} {
					r.network(vni, p, TableNetwork{Kind: TableNetworkKindNETWORK_BOUNCERS, Set: set})
				}
			}
			direct := inner(t, macA, macVirtual, in.a, in.far, 100)
			r.check(packetCase{name: "agent direct " + name, in: direct, prepare: pair,
				reason: TableReasonREASON_SEND_DIRECT, out: tunnel(t, o.host, o.farHost, vni, nil, sent(direct))})
			first := inner(t, macA, macVirtual, in.a, in.unknown, 100)
			r.check(packetCase{name: "agent bouncer " + name, in: first, prepare: pair,
				reason: TableReasonREASON_SEND_BOUNCER,
				out:    tunnel(t, o.host, o.bouncer, vni, rts(o.host, 4, false), sent(first))})
			arrived := inner(t, macFar, macVirtual, in.far, in.a, 100)
			r.check(packetCase{name: "deliver " + name, from: -1, prepare: pair, reason: TableReasonREASON_DELIVER,
				in: tunnel(t, o.farHost, o.host, vni, nil, arrived), out: delivered(arrived, macA)})
			gone := inner(t, macFar, macVirtual, in.far, in.unknown, 100)
			r.check(packetCase{name: "return " + name, from: -1, prepare: pair, reason: TableReasonREASON_RETURN,
				in:  tunnel(t, o.farHost, o.host, vni, nil, gone),
				out: tunnel(t, o.host, o.farHost, vni, rts(o.host, 4, true), gone)})
			back := inner(t, macA, macVirtual, in.a, in.unknown, 100)
			r.check(packetCase{name: "reroute " + name, from: -1, prepare: pair, reason: TableReasonREASON_REROUTE,
				in:  tunnel(t, o.farHost, o.host, vni, rts(o.farHost, 4, true), back),
				out: tunnel(t, o.host, o.bouncer, vni, rts(o.host, 4, false), back)})
			bounced := inner(t, macFar, macVirtual, in.unknown, in.far, 100)
			r.check(packetCase{name: "bounce " + name, from: -1, prepare: pair, reason: TableReasonREASON_BOUNCE,
				in:  tunnel(t, o.bouncer, o.host, vni, rts(o.bouncer, 4, false), bounced),
				out: tunnel(t, o.host, o.farHost, vni, rts(o.bouncer, 3, false), bounced)})
		}
		away := inner(t, macFar, macVirtual, in.far, in.elsewhere, 100)
		r.check(packetCase{name: "divide vpc " + in.name, from: -1, reason: TableReasonREASON_DIVIDE_VPC,
			in:  tunnel(t, far4, host4, vni, rts(far4, 4, false), away),
			out: tunnel(t, host4, divider4, vni, rts(far4, 3, false), away)})
	}
}

func TestPacketsDropped(t *testing.T) {
	r := newRig(t)
	ok := inner(t, macA, macVirtual, a4, f4, 100)
	ok6 := inner(t, macA, macVirtual, a6, f6, 100)
	in := inner(t, macFar, macVirtual, f4, a4, 100)
	in6 := inner(t, macFar, macVirtual, f6, a6, 100)
	tun := tunnel(t, far4, host4, vni, nil, in)
	tun6 := tunnel(t, far6, host6, vni, nil, in6)
	opt := tunnel(t, bouncer4, host4, vni, rts(far4, 4, false), in)
	const geneve = 14 + 20 + 8
	set := func(off int, v byte) func([]byte) { return func(b []byte) { b[off] = v } }
	ones := []packetCase{
		{name: "outer short", in: tun[:geneve+4], reason: TableReasonDROP_OUTER_LENGTH},
		{name: "outer total length", in: mutate(tun, set(16, 0xff)), reason: TableReasonDROP_OUTER_LENGTH},
		{name: "outer udp length", in: mutate(tun, set(14+20+4, 0xff)), reason: TableReasonDROP_OUTER_LENGTH},
		{name: "outer udp too short", in: mutate(tun, func(b []byte) { b[38], b[39] = 0, 7 }), reason: TableReasonDROP_OUTER_LENGTH},
		{name: "outer ends in geneve", in: mutate(tun, func(b []byte) { b[38], b[39] = 0, 15 }), reason: TableReasonDROP_OUTER_SHORT},
		{name: "outer fragment", in: mutate(tun, set(20, 0x20)), reason: TableReasonDROP_OUTER_FRAGMENT},
		{name: "outer source own", in: tunnel(t, host4, host4, vni, nil, in), reason: TableReasonDROP_OUTER_SOURCE},
		{name: "outer source multicast", in: tunnel(t, netip.MustParseAddr("224.0.0.9"), host4, vni, nil, in), reason: TableReasonDROP_OUTER_SOURCE},
		{name: "no peer", in: tunnel(t, stranger4, host4, vni, nil, in), reason: TableReasonDROP_PEER},
		{name: "version", in: mutate(tun, set(geneve, 0x40)), reason: TableReasonDROP_GENEVE_VERSION},
		{name: "control", in: mutate(tun, set(geneve+1, 0x80)), reason: TableReasonDROP_GENEVE_CONTROL},
		{name: "protocol", in: mutate(tun, set(geneve+2, 0x08)), reason: TableReasonDROP_GENEVE_PROTOCOL},
		{name: "options beyond", in: mutate(tun, set(geneve, 0x3f)), reason: TableReasonDROP_OUTER_SHORT},
		{name: "option length", in: mutate(opt, set(geneve+8+3, 0x1f)), reason: TableReasonDROP_OPTION_LENGTH},
		{name: "option critical", in: mutate(opt, set(geneve+8+2, 0xee)), reason: TableReasonDROP_OPTION_CRITICAL},
		{name: "option critical of others", in: mutate(opt, func(b []byte) { b[geneve+8], b[geneve+10] = 1, 0x81 }), reason: TableReasonDROP_OPTION_CRITICAL},
		{name: "rts hops", in: mutate(opt, set(geneve+8+4, 5)), reason: TableReasonDROP_OPTION_RTS},
		{name: "rts bad host", in: tunnel(t, far4, host4, vni, rts(netip.MustParseAddr("0.0.0.0"), 4, false), in), reason: TableReasonDROP_OPTION_RTS},
		{name: "rts twice", in: tunnel(t, far4, host4, vni, append(rts(far4, 4, false), rts(far4, 4, false)...), in), reason: TableReasonDROP_OPTION_RTS},
		{name: "rts size", in: tunnel(t, far4, host4, vni, []byte{class >> 8, class & 0xff, 1, 1, 0, 0, 0, 0}, in), reason: TableReasonDROP_OPTION_RTS},
		{name: "ecn", in: mutate(tun, func(b []byte) { b[15] = 3 }), reason: TableReasonDROP_ECN},
		{name: "inner empty", in: tunnel(t, far4, host4, vni, nil, in[:10]), reason: TableReasonDROP_INNER_SHORT},
		{name: "inner ends in ipv4", in: tunnel(t, far4, host4, vni, nil, in[:14+19]), reason: TableReasonDROP_INNER_SHORT},
		{name: "inner ends in ipv6", in: tunnel(t, far4, host4, vni, nil, in6[:14+39]), reason: TableReasonDROP_INNER_SHORT},
		{name: "inner ethertype", in: tunnel(t, far4, host4, vni, nil, mutate(in, set(12, 0x88))), reason: TableReasonDROP_INNER_ETHERTYPE},
		{name: "inner version", in: tunnel(t, far4, host4, vni, nil, mutate(in, set(14, 0x55))), reason: TableReasonDROP_INNER_IPV4},
		{name: "inner ihl", in: tunnel(t, far4, host4, vni, nil, mutate(in, set(14, 0x44))), reason: TableReasonDROP_INNER_IPV4},
		{name: "inner ihl beyond", in: tunnel(t, far4, host4, vni, nil, mutate(in, func(b []byte) { b[14], b[16], b[17] = 0x4f, 0, 40 })), reason: TableReasonDROP_INNER_IPV4},
		{name: "inner total", in: tunnel(t, far4, host4, vni, nil, mutate(in, set(16, 9))), reason: TableReasonDROP_INNER_IPV4},
		{name: "inner v6 version", in: tunnel(t, far4, host4, vni, nil, mutate(in6, set(14, 0x50))), reason: TableReasonDROP_INNER_IPV6},
		{name: "inner v6 length", in: tunnel(t, far4, host4, vni, nil, mutate(in6, set(18, 9))), reason: TableReasonDROP_INNER_IPV6},
		{name: "inner mapped", in: tunnel(t, far4, host4, vni, nil, mutate(in6, func(b []byte) {
			m := netip.AddrFrom16(a4.As16()).As16()
			copy(b[14+24:], m[:])
		})), reason: TableReasonDROP_INNER_MAPPED},
		{name: "inner extension", in: tunnel(t, far4, host4, vni, nil, mutate(in6, func(b []byte) { b[14+6], b[54], b[55] = 0, 17, 0xff })), reason: TableReasonDROP_INNER_EXTENSION},
		{name: "inner extensions", in: tunnel(t, far4, host4, vni, nil, mutate(in6, func(b []byte) {
			b[14+6] = 60
			for i := range 12 {
				b[54+i*8], b[55+i*8] = 60, 0
			}
		})), reason: TableReasonDROP_INNER_EXTENSION},
		{name: "inner source bad", in: tunnel(t, far4, host4, vni, nil, inner(t, macFar, macVirtual, netip.MustParseAddr("127.0.0.1"), a4, 9)), reason: TableReasonDROP_INNER_ADDRESS},
		{name: "inner multicast", in: tunnel(t, far4, host4, vni, nil, inner(t, macFar, macVirtual, f4, netip.MustParseAddr("224.0.0.1"), 9)), reason: TableReasonDROP_MULTICAST},
		{name: "source elsewhere", in: tunnel(t, bouncer4, host4, vni, nil, in), reason: TableReasonDROP_SOURCE_HOST},
		{name: "source is here", in: tunnel(t, far4, host4, vni, nil, inner(t, macFar, macVirtual, b4, a4, 9)), reason: TableReasonDROP_SOURCE_HOST},
		{name: "no vpc", in: tunnel(t, far4, host4, 99, rts(far4, 4, false), in), reason: TableReasonDROP_NO_VPC},
		{name: "hops", in: tunnel(t, bouncer4, host4, vni, rts(bouncer4, 0, false), inner(t, macFar, macVirtual, unknown4, f4, 9)), reason: TableReasonDROP_HOPS},
		{name: "loop", in: tunnel(t, far4, host4, vni, rts(far4, 4, false), inner(t, macFar, macVirtual, unknown4, f4, 9)), reason: TableReasonDROP_LOOP},
		{name: "black hole", in: tunnel(t, far4, host4, vni, rts(far4, 4, false), inner(t, macFar, macVirtual, f4, hole4, 9)), reason: TableReasonDROP_BLACKHOLE},
		{name: "return not ours", in: tunnel(t, far4, host4, vni, rts(far4, 4, true), inner(t, macA, macVirtual, unknown4, f4, 9)), reason: TableReasonDROP_RETURN},
		{name: "return by another", in: tunnel(t, bouncer4, host4, vni, rts(far4, 4, true), inner(t, macA, macVirtual, a4, unknown4, 9)), reason: TableReasonDROP_RETURN},
		{name: "v6 outer length", in: mutate(tun6, set(18, 9)), reason: TableReasonDROP_OUTER_LENGTH},
		{name: "no set", prepare: func(r *rig) { require.NoError(r.t, r.tables.Sets.Delete(uint32(3))) },
			in: tunnel(t, far4, host4, vni, rts(far4, 4, false), inner(t, macFar, macVirtual, f4, elsewhere4, 9)), reason: TableReasonDROP_SET},
	}
	for _, c := range ones {
		c.from = -1
		if c.prepare != nil {
			f := c.prepare
			c.prepare = func(r *rig) {
				r.set(3, 0, divider4)
				f(r)
			}
		}
		r.check(c)
	}
	r.set(3, 0, divider4)
	for _, c := range []packetCase{
		{name: "mac", in: mutate(ok, set(11, 9)), reason: TableReasonDROP_SPOOF_MAC},
		{name: "address", in: inner(t, macA, macVirtual, b4, f4, 9), reason: TableReasonDROP_SPOOF_ADDRESS},
		{name: "address 6", in: inner(t, macA, macVirtual, b6, f6, 9), reason: TableReasonDROP_SPOOF_ADDRESS},
		{name: "broadcast", in: mutate(ok, func(b []byte) { copy(b, []byte{255, 255, 255, 255, 255, 255}) }), reason: TableReasonDROP_MULTICAST},
		{name: "multicast 6", in: inner(t, macA, macVirtual, a6, netip.MustParseAddr("ff02::1"), 9), reason: TableReasonDROP_MULTICAST},
		{name: "llc", in: mutate(ok, func(b []byte) { b[12], b[13] = 0, 50 }), reason: TableReasonDROP_INNER_ETHERTYPE},
		{name: "black hole", in: inner(t, macA, macVirtual, a4, hole4, 9), reason: TableReasonDROP_BLACKHOLE},
		{name: "short", only: "xdp" /* a run makes no such skb */, in: ok[:20], reason: TableReasonDROP_INNER_SHORT},
		{name: "kind", in: ok, reason: TableReasonDROP_KIND, prepare: func(r *rig) {
			r.put(r.tables.Endpoints, TableEndpointKey{Vni: vni, Addr: address(f4)}, TableEndpoint{Kind: 99})
		}},
		{name: "no route", in: ok6, reason: TableReasonDROP_NO_ROUTE, prepare: func(r *rig) {
			r.endpoint(vni, f6, TableEndpoint{Host: address(netip.MustParseAddr("2001:db8:ffff::1"))})
		}},
		{name: "loop", in: ok, reason: TableReasonDROP_LOOP, prepare: func(r *rig) {
			r.endpoint(vni, f4, TableEndpoint{Host: address(host4)})
		}},
		{name: "tenant", in: ok, reason: TableReasonDROP_TENANT, prepare: func(r *rig) {
			r.endpoint(vni, f4, TableEndpoint{Ifindex: uint32(r.agents[2])})
		}},
	} {
		r.check(c)
	}
}

func TestPacketsPassed(t *testing.T) {
	r := newRig(t)
	r.check(packetCase{name: "another port", from: -1, action: pass, reason: TableReasonREASON_PASS, only: "xdp",
		in: mutate(tunnel(t, far4, host4, vni, nil, inner(t, macFar, macVirtual, f4, a4, 9)), func(b []byte) { b[37]++ })})
	r.check(packetCase{name: "another host", from: -1, action: pass, reason: TableReasonREASON_PASS, only: "xdp",
		in: tunnel(t, far4, bouncer4, vni, nil, inner(t, macFar, macVirtual, f4, a4, 9))})
}
