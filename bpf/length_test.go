// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/require"
)

// An ending is what becomes of a packet that is shorter than `below`.
type ending struct {
	below  int
	reason TableReason
}

func reasonAt(n int, ends []ending, whole TableReason) TableReason {
	for _, e := range ends {
		if n < e.below {
			return e.reason
		}
	}
	return whole
}

// endAt cuts a packet, and has its headers say so: of IP at each of `ips`, and of the tunnel's UDP.
func endAt(b []byte, n int, ips ...int) []byte {
	c := append([]byte(nil), b[:n]...)
	for i, ip := range ips {
		if ip+20 > n {
			break // not even its length
		}
		l4 := ip + 20
		if b[ip]>>4 == 4 {
			binary.BigEndian.PutUint16(c[ip+2:], uint16(n-ip))
		} else {
			l4 = ip + 40
			binary.BigEndian.PutUint16(c[ip+4:], uint16(max(0, n-l4)))
		}
		if i == 0 && ip == 14 && l4+6 <= n && b[l4+2] == port>>8 {
			binary.BigEndian.PutUint16(c[l4+4:], uint16(n-l4))
		}
	}
	return c
}

// verdict runs one packet at a hook, and tells whether it counted as `want` and nothing else of note.
func (r *rig) verdict(hook string, from int, b []byte, want TableReason) bool {
	p, ifindex := r.program(hook, from)
	before := r.counted(want).Packets
	act, _ := r.run(p, ifindex, b)
	ok := r.counted(want).Packets == before+1
	switch {
	case want >= TableReasonREASON_DROP_FIRST:
		return ok && act == drop
	case want == TableReasonREASON_PASS:
		return (ok || hook == "tcx") && act == pass // counted by XDP
	}
	return ok && act == transmit
}

// T1: a packet that ends anywhere is dropped for the header that it ends in.
func TestT1EveryEnd(t *testing.T) {
	r := newRig(t)
	const (
		pass, length, short = TableReasonREASON_PASS, TableReasonDROP_OUTER_LENGTH, TableReasonDROP_OUTER_SHORT
		inShort, inV4, inV6 = TableReasonDROP_INNER_SHORT, TableReasonDROP_INNER_IPV4, TableReasonDROP_INNER_IPV6
		deliver, answer     = TableReasonREASON_DELIVER, TableReasonREASON_ANSWER
	)
	in4, in6 := inner(t, macFar, macVirtual, f4, a4, 30), inner(t, macFar, macVirtual, f6, a6, 30)
	option := rts(far4, 4, false)
	tun4, tun6 := tunnel(t, far4, host4, vni, option, in4), tunnel(t, far6, host6, vni, rts(far6, 4, false), in6)
	ask := arp(t, 1, macA, broadcast, macA, a4, make([]byte, 6), f4)
	headers := mutate(behindHeader(inner(t, macA, macVirtual, a6, b6, 30), 60), func([]byte) {})
	const eth4, eth6 = 14 + 20 + 8 + 8 + 24, 14 + 40 + 8 + 8 + 24
	for _, c := range []struct {
		name  string
		from  int
		b     []byte
		ips   []int // headers that tell of the end
		ends  []ending
		whole TableReason
	}{
		{"outer ipv4 says more", -1, tun4, nil, []ending{{14 + 20 + 8, pass}, {len(tun4), length}}, deliver},
		{"outer ipv6 says more", -1, tun6, nil, []ending{{14 + 40 + 8, pass}, {len(tun6), length}}, deliver},
		{"inner ipv4 says more", -1, tun4, []int{14}, []ending{{42, pass}, {eth4, short}, {eth4 + 34, inShort}, {len(tun4), inV4}}, deliver},
		{"inner ipv6 says more", -1, tun6, []int{14}, []ending{{62, pass}, {eth6, short}, {eth6 + 54, inShort}, {len(tun6), inV6}}, deliver},
		{"only payload is cut", -1, tun4, []int{14, eth4 + 14}, []ending{{42, pass}, {eth4, short}, {eth4 + 34, inShort}}, deliver},
		{"arp in a tunnel", -1, tunnel(t, far4, host4, vni, nil, arp(t, 1, macFar, broadcast, macFar, f4, make([]byte, 6), a4)), []int{14},
			[]ending{{42, pass}, {50, short}, {50 + 42, inShort}}, answer},
		{"tag in a tunnel", -1, tunnel(t, far4, host4, vni, nil, tagged(in4, 0x8100, 5)), []int{14, 68},
			[]ending{{42, pass}, {50, short}, {50 + 38, inShort}}, deliver},
		{"agent ipv4", 0, inner(t, macA, macVirtual, a4, b4, 30), nil, []ending{{34, inShort}, {72, inV4}}, TableReasonREASON_DELIVER_LOCAL},
		{"agent ipv6", 0, inner(t, macA, macVirtual, a6, b6, 30), nil, []ending{{54, inShort}, {92, inV6}}, TableReasonREASON_DELIVER_LOCAL},
		{"agent extension", 0, headers, []int{14}, []ending{{54, inShort}, {62, TableReasonDROP_INNER_EXTENSION}}, TableReasonREASON_DELIVER_LOCAL},
		{"agent arp", 0, ask, nil, []ending{{42, inShort}}, answer},
		{"agent solicitation", 0, solicit(t, a6, f6, macA), []int{14},
			[]ending{{78, inShort}, {79, answer}, {86, TableReasonDROP_NEIGHBOUR}}, answer},
		{"agent advertisement", 0, discovery(t, macA, a6, f6, 255, 136, &layers.ICMPv6NeighborAdvertisement{TargetAddress: a6.AsSlice()}), []int{14},
			[]ending{{78, inShort}}, TableReasonDROP_NEIGHBOUR_UNUSED},
	} {
		for n := 14; n <= len(c.b); n++ {
			for _, hook := range []string{"xdp", "tcx"} {
				if hook == "tcx" && n < 14+40 {
					continue // a run makes no skb that ends in IP
				}
				want := reasonAt(n, c.ends, c.whole)
				require.True(t, r.verdict(hook, c.from, endAt(c.b, n, c.ips...), want), "%s, %s: cut at %d is no %v: %v", c.name, hook, n, want, r.counters())
			}
		}
	}
}

// T1: of each length in a packet, every value of every byte.
func TestT1EveryLength(t *testing.T) {
	r := newRig(t)
	const (
		length, short       = TableReasonDROP_OUTER_LENGTH, TableReasonDROP_OUTER_SHORT
		inShort, inV4, inV6 = TableReasonDROP_INNER_SHORT, TableReasonDROP_INNER_IPV4, TableReasonDROP_INNER_IPV6
		deliver, local      = TableReasonREASON_DELIVER, TableReasonREASON_DELIVER_LOCAL
		extension           = TableReasonDROP_INNER_EXTENSION
	)
	in4, in6 := inner(t, macFar, macVirtual, f4, a4, 30), inner(t, macFar, macVirtual, f6, a6, 30)
	tun4, tun6 := tunnel(t, far4, host4, vni, nil, in4), tunnel(t, far6, host6, vni, nil, in6)
	opt := tunnel(t, far4, host4, vni, rts(far4, 4, false), in4)
	mine4, mine6 := inner(t, macA, macVirtual, a4, b4, 30), inner(t, macA, macVirtual, a6, b6, 30)
	ns := solicit(t, a6, f6, macA)
	ns[14+40+24] = 14 // a nonce, which may have any length
	only := func(right int, good, bad TableReason) func(int) TableReason {
		return func(v int) TableReason {
			if v == right {
				return good
			}
			return bad
		}
	}
	// upTo: a length may say less than there is, padding follows then.
	upTo := func(least, most int, good, bad TableReason) func(int) TableReason {
		return func(v int) TableReason {
			if v >= least && v <= most {
				return good
			}
			return bad
		}
	}
	for _, c := range []struct {
		name       string
		from       int
		b          []byte
		off, bytes int
		want       func(v int) TableReason
	}{
		{"outer total length", -1, tun4, 16, 2, only(len(tun4)-14, deliver, length)},
		{"outer payload length", -1, tun6, 18, 2, only(len(tun6)-54, deliver, length)},
		{"outer udp length", -1, tun4, 38, 2, func(v int) TableReason {
			if v < 8 || v > len(tun4)-34 {
				return length
			}
			return reasonAt(v, []ending{{16, short}, {16 + 34, inShort}, {len(tun4) - 34, inV4}}, deliver)
		}},
		{"outer udp length 6", -1, tun6, 58, 2, func(v int) TableReason {
			if v < 8 || v > len(tun6)-54 {
				return length
			}
			return reasonAt(v, []ending{{16, short}, {16 + 54, inShort}, {len(tun6) - 54, inV6}}, deliver)
		}},
		{"option length", -1, opt, 53, 1, func(v int) TableReason {
			switch v &= 0x1f; { // the rest is reserved
			case v > 5:
				return TableReasonDROP_OPTION_LENGTH
			case v < 5:
				return TableReasonDROP_OPTION_RTS
			}
			return deliver
		}},
		{"inner ihl", -1, tun4, 64, 1, upTo(0x45, 0x4e, deliver, inV4)}, // 58 bytes in all
		{"inner total length", -1, tun4, 66, 2, upTo(20, 58, deliver, inV4)},
		{"inner version", -1, tun6, 84, 1, upTo(0x60, 0x6f, deliver, inV6)},
		{"inner payload length", -1, tun6, 88, 2, upTo(0, 38, deliver, inV6)},
		{"agent total length", 0, mine4, 16, 2, upTo(20, 58, local, inV4)},
		{"agent payload length", 0, mine6, 18, 2, upTo(0, 38, local, inV6)},
		{"hop-by-hop length", 0, behindHeader(mine6, 0), 55, 1, upTo(0, 4, local, extension)}, // 46 bytes follow
		{"routing length", 0, behindHeader(mine6, 43), 55, 1, upTo(0, 4, local, extension)},
		{"destination options length", 0, behindHeader(mine6, 60), 55, 1, upTo(0, 4, local, extension)},
		{"authentication length", 0, behindHeader(mine6, 51), 55, 1, upTo(0, 9, local, extension)},
		{"neighbour option length", 0, ns, 79, 1, only(1, TableReasonREASON_ANSWER, TableReasonDROP_NEIGHBOUR)},
		{"arp hardware length", 0, arp(t, 1, macA, broadcast, macA, a4, make([]byte, 6), f4), 18, 1, only(6, TableReasonREASON_ANSWER, TableReasonDROP_ARP)},
		{"arp protocol length", 0, arp(t, 1, macA, broadcast, macA, a4, make([]byte, 6), f4), 19, 1, only(4, TableReasonREASON_ANSWER, TableReasonDROP_ARP)},
	} {
		for at := c.off; at < c.off+c.bytes; at++ {
			for v := range 256 {
				b := mutate(c.b, func(b []byte) { b[at] = byte(v) })
				n := int(b[c.off])
				if c.bytes == 2 {
					n = int(binary.BigEndian.Uint16(b[c.off:]))
				}
				for _, hook := range []string{"xdp", "tcx"} {
					require.True(t, r.verdict(hook, c.from, b, c.want(n)), "%s, %s: %d is no %v: %v", c.name, hook, n, c.want(n), r.counters())
				}
			}
		}
	}
}

// T1: all that the Geneve header may say of its options: either they are what is there, or the packet goes.
func TestT1EveryOptionsLength(t *testing.T) {
	r := newRig(t)
	in := inner(t, macFar, macVirtual, f4, a4, 100)
	for name, b := range map[string][]byte{"none": tunnel(t, far4, host4, vni, nil, in),
		"one": tunnel(t, far4, host4, vni, rts(far4, 4, false), in)} {
		for v := range 256 {
			for _, hook := range []string{"xdp", "tcx"} {
				p, ifindex := r.program(hook, -1)
				act, _ := r.run(p, ifindex, mutate(b, func(b []byte) { b[42] = byte(v) }))
				want := drop
				if byte(v) == b[42] {
					want = transmit
				}
				require.Equal(t, want, act, "%s, %s: %d", name, hook, v)
			}
		}
	}
}

// behindHeader puts an extension header of eight bytes behind IPv6's.
func behindHeader(b []byte, header byte) []byte {
	c := append([]byte(nil), b[:54]...)
	next := c[20]
	c[20] = header
	binary.BigEndian.PutUint16(c[18:], binary.BigEndian.Uint16(c[18:])+8)
	return append(append(c, next, 0, 1, 4, 0, 0, 0, 0), b[54:]...)
}

// T4: extension headers of 2 KiB, behind which nobody looks, hide nothing.
func TestT4LongHeaders(t *testing.T) {
	r := newRig(t)
	na := discovery(t, macA, a6, b6, 255, 136, &layers.ICMPv6NeighborAdvertisement{TargetAddress: f6.AsSlice()})
	first, second, third := make([]byte, 1024), make([]byte, 1040), make([]byte, 8)
	first[0], first[1] = 60, 127
	first[16] = 17 // where a parser would be that counts to 2047 only
	second[0], second[1] = 60, 129
	third[0] = 58
	b := append([]byte(nil), na[:54]...)
	b[20] = 0
	for _, part := range [][]byte{first, second, third, na[54:]} {
		b = append(b, part...)
	}
	binary.BigEndian.PutUint16(b[18:], uint16(len(b)-54))
	for _, dst := range []netip.Addr{b6, f6} {
		r.check(packetCase{name: dst.String(), reason: TableReasonDROP_INNER_EXTENSION, prepare: func(r *rig) {
			r.put(r.tables.Agents, uint32(r.agents[1]), TableAgent{Vni: vni, Mac: [6]byte(macB), Mtu: 9000})
		}, in: mutate(b, func(b []byte) { a := dst.As16(); copy(b[38:], a[:]); copy(b, macVirtual) })})
	}
}
