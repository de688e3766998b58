// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/require"
)

// icmpTooBig is what the underlay says of a tunnel packet of ours.
func icmpTooBig(t testing.TB, from, to netip.Addr, mtu uint16, quoted []byte) []byte {
	eth := &layers.Ethernet{SrcMAC: macFar, DstMAC: macDroplet, EthernetType: layers.EthernetTypeIPv4}
	quote := gopacket.Payload(quoted[14 : 14+48])
	if from.Is4() {
		return frame(t, eth, &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolICMPv4, SrcIP: from.AsSlice(), DstIP: to.AsSlice()},
			&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(3, 4), Seq: mtu}, quote)
	}
	eth.EthernetType = layers.EthernetTypeIPv6
	ip := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolICMPv6, SrcIP: from.AsSlice(), DstIP: to.AsSlice()}
	icmp := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(2, 0)}
	require.NoError(t, icmp.SetNetworkLayerForChecksum(ip))
	return frame(t, eth, ip, icmp, gopacket.Payload(binary.BigEndian.AppendUint32(nil, uint32(mtu))), quote)
}

func (r *rig) path(host netip.Addr) TablePath {
	var p TablePath
	require.NoError(r.t, r.tables.Paths.Lookup(address(host), &p))
	return p
}

// T12: ICMP from the underlay changes a path only within bounds, for a packet that we sent.
func TestT12PathMTU(t *testing.T) {
	r := newRig(t)
	ours4 := tunnel(t, host4, far4, vni, nil, inner(t, macA, macVirtual, a4, f4, 100))
	ours6 := tunnel(t, host6, far6, vni, nil, inner(t, macA, macVirtual, a4, f4, 100))
	router4, router6 := netip.MustParseAddr("192.0.2.250"), netip.MustParseAddr("2001:db8:1::fa")
	fresh := func() {
		for _, h := range []netip.Addr{far4, far6, stranger4} {
			r.put(r.tables.Paths, address(h), TablePath{Refreshed: 1, Host: address(h)})
		}
	}
	for _, c := range []struct {
		name string
		in   []byte
		host netip.Addr
		want uint32
	}{
		{"taught", icmpTooBig(t, router4, host4, 1400, ours4), far4, 1400},
		{"taught 6", icmpTooBig(t, router6, host6, 1400, ours6), far6, 1400},
		{"floor", icmpTooBig(t, router4, host4, 68, ours4), far4, 1280},
		{"floor 6", icmpTooBig(t, router6, host6, 100, ours6), far6, 1280},
		{"nothing said", icmpTooBig(t, router4, host4, 0, ours4), far4, 0},
		{"quotes another's packet", icmpTooBig(t, router4, host4, 1400, mutate(ours4, func(b []byte) { b[29] = 99 })), far4, 0},
		{"quotes another port", icmpTooBig(t, router4, host4, 1400, mutate(ours4, func(b []byte) { b[37]++ })), far4, 0},
		{"quotes a low source port", icmpTooBig(t, router4, host4, 1400, mutate(ours4, func(b []byte) { b[34] = 1 })), far4, 0},
		{"quotes TCP", icmpTooBig(t, router4, host4, 1400, mutate(ours4, func(b []byte) { b[23] = 6 })), far4, 0},
		{"to another", icmpTooBig(t, router4, bouncer4, 1400, ours4), far4, 0},
		{"to another 6", icmpTooBig(t, router6, bouncer6, 1400, ours6), far6, 0},
		{"quotes another's packet 6", icmpTooBig(t, router6, host6, 1400, mutate(ours6, func(b []byte) { b[14+23] = 99 })), far6, 0},
		{"of no peer", icmpTooBig(t, router4, host4, 1400, tunnel(t, host4, stranger4, vni, nil, inner(t, macA, macVirtual, a4, f4, 100))), stranger4, 0},
		{"mapped addresses", mutate(icmpTooBig(t, router6, host6, 1400, ours6), func(b []byte) {
			for off, a := range map[int]netip.Addr{14 + 24: host4, 62 + 8: host4, 62 + 24: far4} {
				v4 := a.As16()
				copy(b[off:], v4[:])
			}
		}), far4, 0},
		{"another kind", mutate(icmpTooBig(t, router4, host4, 1400, ours4), func(b []byte) { b[35] = 1 }), far4, 0},
	} {
		for _, p := range []string{"xdp", "tcx"} {
			t.Run(p+"/"+c.name, func(t *testing.T) {
				was := r.t
				r.t = t
				defer func() { r.t = was }()
				fresh()
				prog := r.p.TransitXDP
				if p == "tcx" {
					prog = r.p.TransitTCX
				}
				act, out := r.run(prog, r.droplet, c.in)
				require.Equal(t, pass, act, "the host's stack sees it in any case")
				require.Equal(t, c.in, out)
				require.Equal(t, c.want, r.path(c.host).Mtu)
			})
		}
	}
}

// T12: a path gets narrower by what is told, and wider only with time.
func TestT12PathAges(t *testing.T) {
	r := newRig(t)
	in := icmpTooBig(t, netip.MustParseAddr("192.0.2.250"), host4, 1400, tunnel(t, host4, far4, vni, nil, inner(t, macA, macVirtual, a4, f4, 100)))
	for _, c := range []struct {
		was  TablePath
		want uint32
	}{
		{TablePath{Refreshed: 1, Host: address(far4), Mtu: 1300, Expires: 1 << 62}, 1300},
		{TablePath{Refreshed: 1, Host: address(far4), Mtu: 1450, Expires: 1 << 62}, 1400},
		{TablePath{Refreshed: 1, Host: address(far4), Mtu: 1300, Expires: 1}, 1400},
	} {
		for _, hook := range []string{"xdp", "tcx"} {
			r.put(r.tables.Paths, address(far4), c.was)
			p, ifindex := r.program(hook, -1)
			r.run(p, ifindex, in)
			got := r.path(far4)
			require.Equal(t, c.want, got.Mtu, "%s: %+v", hook, c.was)
			require.Equal(t, c.was.Refreshed, got.Refreshed)
		}
	}
	// A host that nothing was sent to has no path to change.
	r.remove(r.tables.Paths, address(far4))
	r.run(r.p.TransitXDP, r.droplet, in)
	require.ErrorIs(t, r.tables.Paths.Lookup(address(far4), &TablePath{}), ebpf.ErrKeyNotExist)
}

func TestTooBig(t *testing.T) {
	r := newRig(t)
	const overhead = 20 + 8 + 8 + 14
	// Without the layers' lengths, these are 14 + 28 and 14 + 48 bytes of headers.
	fits := inner(t, macA, macVirtual, a4, f4, mtu-overhead-28)
	r.check(packetCase{name: "fits", in: fits, reason: TableReasonREASON_SEND_DIRECT, out: tunnel(t, host4, far4, vni, nil, sent(fits))})
	for _, c := range []struct {
		name     string
		src, dst netip.Addr
		head     int
		why      TableReason
	}{{"4", a4, f4, 28, TableReasonREASON_TOO_BIG_REPLY}, {"6", a6, f6, 48, TableReasonREASON_TOO_BIG_REPLY}} {
		over := 0
		if c.src.Is6() {
			over = 20 // f6 is behind an IPv6 underlay
		}
		in := inner(t, macA, macVirtual, c.src, c.dst, mtu-overhead-over-c.head+1)
		for _, hook := range []string{"xdp", "tcx"} {
			t.Run(hook+"/too big "+c.name, func(t *testing.T) {
				was := r.t
				r.t = t
				defer func() { r.t = was }()
				r.resetCounters()
				prog := r.p.AgentXDP
				if hook == "tcx" {
					prog = r.p.AgentTCX
				}
				act, out := r.run(prog, r.agents[0], in)
				require.Equal(t, map[TableReason]uint64{c.why: 1}, r.counters())
				require.Equal(t, transmit, act)
				p := gopacket.NewPacket(out, layers.LayerTypeEthernet, gopacket.Default)
				eth := p.LinkLayer().(*layers.Ethernet)
				require.Equal(t, macA, eth.DstMAC)
				require.Equal(t, macVirtual, eth.SrcMAC)
				if c.src.Is4() {
					ip := p.NetworkLayer().(*layers.IPv4)
					require.Equal(t, c.dst.AsSlice(), []byte(ip.SrcIP))
					require.Equal(t, c.src.AsSlice(), []byte(ip.DstIP))
					icmp := p.Layer(layers.LayerTypeICMPv4).(*layers.ICMPv4)
					require.Equal(t, layers.CreateICMPv4TypeCode(3, 4), icmp.TypeCode)
					require.Equal(t, uint16(mtu-overhead), icmp.Seq)
					require.Equal(t, in[14:14+68], icmp.Payload)
					check := append(append([]byte(nil), icmp.Contents...), icmp.Payload...)
					require.Zero(t, internet(check))
					require.Zero(t, internet(ip.Contents))
					return
				}
				ip := p.NetworkLayer().(*layers.IPv6)
				icmp := p.Layer(layers.LayerTypeICMPv6).(*layers.ICMPv6)
				require.Equal(t, layers.CreateICMPv6TypeCode(2, 0), icmp.TypeCode)
				require.Equal(t, uint32(mtu-overhead-20), binary.BigEndian.Uint32(icmp.Payload))
				require.Equal(t, in[14:14+128], icmp.Payload[4:])
				pseudo := append(append(append([]byte(nil), ip.SrcIP...), ip.DstIP...), 0, 0, byte(len(ip.Payload)>>8), byte(len(ip.Payload)), 0, 0, 0, 58)
				require.Zero(t, internet(append(pseudo, ip.Payload...)))
			})
		}
	}
	// What follows the IP packet in a frame takes room as well.
	ok := inner(t, macA, macVirtual, a4, f4, 100)
	r.check(packetCase{name: "padded", in: append(append([]byte(nil), ok...), make([]byte, 10)...), reason: TableReasonREASON_SEND_DIRECT})
	r.check(packetCase{name: "padded beyond the path", in: append(append([]byte(nil), ok...), make([]byte, mtu)...), reason: TableReasonREASON_TOO_BIG_REPLY})
	// A learned path counts, until it expires.
	r.check(packetCase{name: "path", in: fits, reason: TableReasonREASON_TOO_BIG_REPLY, prepare: func(r *rig) {
		r.put(r.tables.Paths, address(far4), TablePath{Refreshed: 1, Host: address(far4), Mtu: 1400, Expires: 1 << 62})
	}})
	r.check(packetCase{name: "path expired", in: fits, reason: TableReasonREASON_SEND_DIRECT, prepare: func(r *rig) {
		r.put(r.tables.Paths, address(far4), TablePath{Refreshed: 1, Host: address(far4), Mtu: 1400, Expires: 1})
	}})
}

// internet is the checksum of RFC 1071; zero over what carries its own.
func internet(b []byte) uint16 {
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		w := uint32(b[i]) << 8
		if i+1 < len(b) {
			w |= uint32(b[i+1])
		}
		sum += w
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// RFC 6040: congestion seen outside is told inside; DSCP goes out with the packet (RFC 2983).
func TestECN(t *testing.T) {
	r := newRig(t)
	tos := func(b []byte, v byte) []byte {
		p := gopacket.NewPacket(b, layers.LayerTypeEthernet, gopacket.Default)
		if ip, ok := p.NetworkLayer().(*layers.IPv4); ok {
			ip.TOS = v
			return frame(t, p.LinkLayer().(*layers.Ethernet), ip, gopacket.Payload(ip.Payload))
		}
		ip := p.NetworkLayer().(*layers.IPv6)
		ip.TrafficClass = v
		return frame(t, p.LinkLayer().(*layers.Ethernet), ip, gopacket.Payload(ip.Payload))
	}
	for _, f := range []struct {
		name      string
		src, dst  netip.Addr
		host, own netip.Addr
	}{{"4", f4, a4, far4, host4}, {"6", f6, a6, far6, host6}} {
		in := inner(t, macFar, macVirtual, f.src, f.dst, 10)
		for _, c := range []struct {
			outer, inner, want byte
			reason             TableReason
		}{
			{0, 0, 0, TableReasonREASON_DELIVER}, {3, 2, 3, TableReasonREASON_DELIVER}, {3, 1, 3, TableReasonREASON_DELIVER},
			{3, 3, 3, TableReasonREASON_DELIVER}, {1, 2, 1, TableReasonREASON_DELIVER}, {2, 1, 1, TableReasonREASON_DELIVER},
			{0, 2, 2, TableReasonREASON_DELIVER}, {3, 0, 0, TableReasonDROP_ECN},
		} {
			const dscp = 0xb8
			p := packetCase{name: f.name + string(rune('0'+c.outer)) + string(rune('0'+c.inner)), from: -1, reason: c.reason,
				in: tos(tunnel(t, f.host, f.own, vni, nil, tos(in, dscp|c.inner)), c.outer)}
			if c.reason == TableReasonREASON_DELIVER {
				p.out = delivered(tos(in, dscp|c.want), macA)
			}
			r.check(p)
		}
	}
	out := tos(inner(t, macA, macVirtual, a4, f4, 10), 0xba)
	r.check(packetCase{name: "out", in: out, reason: TableReasonREASON_SEND_DIRECT, out: tos(tunnel(t, host4, far4, vni, nil, sent(out)), 0xba)})
}

// What a packet taught of a path, every program goes by at once: the next packet is not sent by what was kept.
func TestPathIsLearnedAtOnce(t *testing.T) {
	r := newRig(t)
	told := icmpTooBig(t, netip.MustParseAddr("192.0.2.250"), host4, 1400, tunnel(t, host4, far4, vni, nil, inner(t, macA, macVirtual, a4, f4, 100)))
	big := inner(t, macA, macVirtual, a4, f4, 1380)
	for _, teacher := range []string{"xdp", "tcx"} {
		for _, hook := range []string{"xdp", "tcx"} {
			for range 5 {
				r.refill()
				r.resetCounters()
				p, ifindex := r.program(hook, 0)
				transit, droplet := r.program(teacher, -1)
				r.run(p, ifindex, big)
				r.run(transit, droplet, told)
				r.run(p, ifindex, big)
				require.EqualValues(t, 1, r.counted(TableReasonREASON_SEND_DIRECT).Packets, "%s, told by %s", hook, teacher)
				require.EqualValues(t, 1, r.counted(TableReasonREASON_TOO_BIG_REPLY).Packets, "%s, told by %s", hook, teacher)
			}
		}
	}
}
