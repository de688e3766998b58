// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

// ofLength is a frame of an endpoint whose IP packet has this length.
func ofLength(t testing.TB, src, dst netip.Addr, length int) []byte {
	head := 28
	if src.Is6() {
		head = 48
	}
	from := macA
	if src == f4 || src == f6 || src == unknown4 {
		from = macFar
	}
	return inner(t, from, macVirtual, src, dst, length-head)
}

// On each way, what just fits goes, and what is a byte longer does not.
func TestEveryWayHasASize(t *testing.T) {
	r := newRig(t)
	const direct, bounced, tag = 20 + 8 + 8 + 14, 20 + 8 + 8 + 24 + 14, 4
	tagOf := func(b []byte) []byte { return tagged(b, 0x8100, 5) }
	plain := func(b []byte) []byte { return b }
	for _, c := range []struct {
		name     string
		from     int
		length   int // that fits
		src, dst netip.Addr
		wrap     func([]byte) []byte
		reason   TableReason
		only     string
	}{
		{"direct", 0, mtu - direct, a4, f4, plain, TableReasonREASON_SEND_DIRECT, ""},
		{"direct 6", 0, mtu - direct - 20, a6, f6, plain, TableReasonREASON_SEND_DIRECT, ""},
		{"by a bouncer", 0, mtu - bounced, a4, unknown4, plain, TableReasonREASON_SEND_BOUNCER, ""},
		{"by a bouncer 6", 0, mtu - bounced - 20, a6, unknown6, plain, TableReasonREASON_SEND_BOUNCER, ""},
		{"tagged", 0, mtu - direct - tag, a4, f4, tagOf, TableReasonREASON_SEND_DIRECT, "xdp"},
		{"local", 0, 1400, a4, b4, plain, TableReasonREASON_DELIVER_LOCAL, ""},
		{"local 6", 0, 1400, a6, b6, plain, TableReasonREASON_DELIVER_LOCAL, ""},
		{"delivered", -1, 1300, f4, a4, func(b []byte) []byte { return tunnel(t, far4, host4, vni, nil, b) },
			TableReasonREASON_DELIVER, ""},
		{"bounced", -1, mtu - bounced, unknown4, f4, func(b []byte) []byte {
			return tunnel(t, bouncer4, host4, vni, rts(bouncer4, 4, false), b)
		}, TableReasonREASON_BOUNCE, ""},
		{"returned", -1, mtu - bounced, f4, unknown4, func(b []byte) []byte { return tunnel(t, far4, host4, vni, nil, b) },
			TableReasonREASON_RETURN, ""},
	} {
		for over := range 2 {
			want := c.reason
			if over == 1 {
				want = TableReasonREASON_TOO_BIG_REPLY
			}
			r.check(packetCase{name: c.name, from: c.from, only: c.only, in: c.wrap(ofLength(t, c.src, c.dst, c.length+over)), reason: want,
				prepare: func(r *rig) {
					r.fill()
					r.put(r.tables.Agents, uint32(r.agents[0]), TableAgent{Vni: vni, Mac: [6]byte(macA), Mtu: 1300})
					r.put(r.tables.Agents, uint32(r.agents[1]), TableAgent{Vni: vni, Mac: [6]byte(macB), Mtu: 1400})
				}})
		}
	}
}

// Of a packet that the kernel will segment, each segment has to fit, with its own headers.
func TestSegmentsHaveASize(t *testing.T) {
	r := newRig(t)
	r.put(r.tables.Agents, uint32(r.agents[1]), TableAgent{Vni: vni, Mac: [6]byte(macB), Mtu: 1000})
	tcp := func(src, dst netip.Addr, words uint8) []byte {
		b := inner(t, macA, macVirtual, src, dst, 3000)
		l3, at := 9, 14+20
		if src.Is6() {
			l3, at = 6, 14+40
		}
		return mutate(b, func(b []byte) { b[14+l3], b[at+12] = 6, words<<4 })
	}
	for _, c := range []struct {
		name    string
		in      []byte
		headers int
	}{
		{"udp", inner(t, macA, macVirtual, a4, b4, 3000), 28},
		{"udp 6", inner(t, macA, macVirtual, a6, b6, 3000), 48},
		{"tcp", tcp(a4, b4, 5), 40},
		{"tcp with options", tcp(a4, b4, 8), 52},
		{"tcp 6 with options", tcp(a6, b6, 15), 100},
		{"over 64 KiB", mutate(tcp(a4, b4, 5), func(b []byte) { b[16], b[17] = 0, 0 }), 40},
		{"over 64 KiB 6", mutate(tcp(a6, b6, 5), func(b []byte) { b[18], b[19] = 0, 0 }), 60},
	} {
		r.check(packetCase{name: c.name, only: "tcx", how: how{segment: 1000 - c.headers}, in: c.in, reason: TableReasonREASON_DELIVER_LOCAL})
		r.check(packetCase{name: c.name + " and one more", only: "tcx", how: how{segment: 1001 - c.headers}, in: c.in, reason: TableReasonREASON_TOO_BIG_REPLY})
	}
}

// Too big to be sent on: the host that sent it is told what it may send, which is less where the headers grow.
func TestTooBigToSendOn(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		name         string
		from, to, by netip.Addr
		want         uint32
	}{
		{"4 to 4", bouncer4, host4, far4, 1300},
		{"4 to 6", bouncer4, host4, far6, 1280},
		{"6 to 4", bouncer6, host6, far4, 1300},
		{"6 to 6", bouncer6, host6, far6, 1300},
	} {
		in := tunnel(t, c.from, c.to, vni, rts(bouncer4, 4, false), inner(t, macFar, macVirtual, unknown4, f4, 1330))
		r.endpoint(vni, f4, TableEndpoint{Host: address(c.by)})
		r.put(r.tables.Paths, address(c.by), TablePath{Refreshed: 1, Host: address(c.by), Mtu: 1300, Expires: 1 << 62})
		for _, hook := range []string{"xdp", "tcx"} {
			p, ifindex := r.program(hook, -1)
			act, out := r.run(p, ifindex, in)
			require.Equal(t, transmit, act, "%s %s", c.name, hook)
			sound(t, in, out)
			said := uint32(binary.BigEndian.Uint16(out[14+20+6:]))
			if c.from.Is6() {
				said = binary.BigEndian.Uint32(out[14+40+4:])
			}
			require.Equal(t, c.want, said, "%s %s", c.name, hook)
		}
	}
}

// An endpoint hears of no MTU below IPv6's, and with the tag that it sent.
func TestTooBigReplies(t *testing.T) {
	r := newRig(t)
	in6 := inner(t, macA, macVirtual, a6, f6, 1330)
	in4 := tagged(inner(t, macA, macVirtual, a4, f4, 1330), 0x8100, 5)
	for _, h := range []netip.Addr{far4, far6} {
		r.put(r.tables.Paths, address(h), TablePath{Refreshed: 1, Host: address(h), Mtu: 1300, Expires: 1 << 62})
	}
	for _, hook := range []string{"xdp", "tcx"} {
		p, ifindex := r.program(hook, 0)
		_, out := r.run(p, ifindex, in6)
		require.Equal(t, uint32(1280), binary.BigEndian.Uint32(out[14+40+4:]), hook)
	}
	p, ifindex := r.program("xdp", 0) // a run does not move the tag out of the bytes
	_, out := r.run(p, ifindex, in4)
	require.Equal(t, []byte{0x81, 0, 0, 5, 8, 0}, out[12:18])
	require.Equal(t, uint16(1300-50-4), binary.BigEndian.Uint16(out[18+20+6:]))
}

// A tunnel packet that the kernel will segment may be longer than its headers can say.
func TestSegmentedTunnels(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		name     string
		from, to netip.Addr
		says     int // what an IP header says of its length
	}{{"4", bouncer4, host4, 14 + 2}, {"6", bouncer6, host6, 14 + 4}} {
		in := inner(t, macFar, macVirtual, unknown4, f4, 3000)
		b := tunnel(t, c.from, c.to, vni, rts(bouncer4, 4, false), in)
		r.endpoint(vni, f4, TableEndpoint{Host: address(map[string]netip.Addr{"4": far4, "6": far6}[c.name])})
		udp := 14 + 20
		if c.name == "6" {
			udp = 14 + 40
		}
		short := mutate(b, func(b []byte) { binary.BigEndian.PutUint16(b[c.says:], 1000) })
		less := mutate(b, func(b []byte) { binary.BigEndian.PutUint16(b[udp+4:], 900) })
		fits := mtu - (udp + 8 + 8 + 24) - 28 // what is left of a segment's payload
		for name, in := range map[string][]byte{"right": b, "ip says less": short, "udp says less": less} {
			r.check(packetCase{name: c.name + " " + name, from: -1, only: "tcx", how: how{segment: fits}, in: in, reason: TableReasonREASON_BOUNCE})
			r.check(packetCase{name: c.name + " " + name + ", too big", from: -1, only: "tcx", how: how{segment: fits + 1}, in: in, reason: TableReasonREASON_TOO_BIG_REPLY})
		}
		// One that is not may not.
		r.check(packetCase{name: c.name + " whole, ip says less", from: -1, in: short, reason: TableReasonDROP_OUTER_LENGTH})
	}
}
