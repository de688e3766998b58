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

	"github.com/mizar-go/mizar/internal/packet"
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

// normal leaves out what the hooks may do differently: the outer MACs, which tcx leaves to the kernel, and
// of what an endpoint sent, or is answered in the name of one, the outer source port: the flow's hash.
func normal(t *testing.T, c packetCase, b []byte) []byte {
	p := gopacket.NewPacket(b, layers.LayerTypeEthernet, gopacket.NoCopy)
	udp, ok := p.Layer(layers.LayerTypeUDP).(*layers.UDP)
	if !ok || udp.DstPort != port {
		return b
	}
	require.GreaterOrEqual(t, int(udp.SrcPort), 49152)
	b = append([]byte(nil), b...)
	copy(b, make([]byte, 12))
	if c.from >= 0 || c.reason == TableReasonREASON_TOO_BIG_REPLY {
		at := 14 + len(p.NetworkLayer().LayerContents())
		b[at], b[at+1] = 0, 0
	}
	return b
}

// packetCase is one packet, and what has to become of it in XDP and in tcx.
type packetCase struct {
	name    string
	from    int // -1: the droplet, else an endpoint
	in      []byte
	prepare func(*rig)
	reason  TableReason
	action  action // by default drop for drops, transmit for the rest
	out     []byte // nil: not looked at
	only    string // of a hook
	cold    bool   // only as the first packet: what others before it would change counts
	how     how
}

// hooks are those that see the packet.
func (c *packetCase) hooks() []string {
	if c.only != "" {
		return []string{c.only}
	}
	return []string{"xdp", "tcx"}
}

// program is what sees the packet at a hook, and the interface that it comes in by.
func (r *rig) program(hook string, from int) (*ebpf.Program, int) {
	switch {
	case from >= 0 && hook == "xdp":
		return r.p.AgentXDP, r.agents[from]
	case from >= 0:
		return r.p.AgentTCX, r.agents[from]
	case hook == "xdp":
		return r.p.TransitXDP, r.droplet
	}
	return r.p.TransitTCX, r.droplet
}

func (r *rig) check(c packetCase) {
	if !c.how.possible() {
		return
	}
	for _, hook := range c.hooks() {
		r.checkAt(hook, c, false)
		r.checkAt(hook, c, true)
	}
}

// checkAt has the programs know nothing yet of who sends and where to, or what the packets before it taught.
func (r *rig) checkAt(hook string, c packetCase, warm bool) {
	if warm && c.cold {
		return
	}
	name := hook + "/" + c.name
	if warm {
		name += "/warm"
	}
	r.t.(*testing.T).Run(name, func(t *testing.T) {
		was := r.t
		r.t = t
		defer func() { r.t = was }()
		r.nextEpoch()
		if c.prepare != nil {
			c.prepare(r)
		}
		if warm {
			r.warm(hook)
		}
		r.resetCounters()
		p, ifindex := r.program(hook, c.from)
		act, out := r.runAs(p, ifindex, c.in, c.how)
		require.Equal(t, map[TableReason]uint64{c.reason: 1}, r.counters())
		require.Equal(t, len(c.in), int(r.counted(c.reason).Bytes))
		want := c.action
		switch {
		case want != "":
		case c.reason >= TableReasonREASON_DROP_FIRST:
			want = drop
		default:
			want = transmit
		}
		require.Equal(t, want, act)
		if act == transmit {
			sound(t, c.in, out)
		}
		if c.out != nil {
			require.Equal(t, fmt.Sprintf("%x", normal(t, c, c.out)), fmt.Sprintf("%x", normal(t, c, out)))
		}
	})
}

// warm has the programs see who sends and where to: hosts around, and endpoints here.
func (r *rig) warm(hook string) {
	run := func(from int, frame []byte) {
		p, ifindex := r.program(hook, from)
		r.run(p, ifindex, frame)
	}
	for i := range 2 {
		at := func(pair ...netip.Addr) netip.Addr { return pair[i] }
		a, b, f, host, far := at(a4, a6), at(b4, b6), at(f4, f6), at(host4, host6), at(far4, far6)
		run(0, inner(r.t, macA, macVirtual, a, f, 9))
		run(1, inner(r.t, macB, macVirtual, b, f, 9))
		run(2, inner(r.t, macC, macVirtual, a, f, 9))
		run(-1, tunnel(r.t, far, host, vni, nil, inner(r.t, macFar, macVirtual, f, a, 9)))
		for _, relay := range []netip.Addr{at(bouncer4, bouncer6), at(divider4, divider6)} {
			run(-1, tunnel(r.t, relay, host, vni, rts(far, 3, false), inner(r.t, macFar, macVirtual, f, b, 9)))
		}
	}
}

// table checks packets one by one, each against the tables as they were at first.
func (r *rig) table(cases []packetCase) {
	for _, c := range cases {
		prepare := c.prepare
		c.prepare = func(r *rig) {
			r.fill()
			require.NoError(r.t, r.p.WireTransit())
			if prepare != nil {
				prepare(r)
			}
		}
		r.check(c)
	}
}

// sound: an independent decoder finds every length and checksum right, if it did in what came in.
func sound(t *testing.T, in, out []byte) {
	t.Helper()
	if d, err := packet.Decode(in); err != nil || d.Verify() != nil {
		return
	}
	d, err := packet.Decode(out)
	require.NoError(t, err, "%x", out)
	require.NoError(t, d.Verify(), "%x", out)
}

// delivered is a frame as an endpoint gets it.
func delivered(b []byte, to net.HardwareAddr) []byte {
	return mutate(b, func(b []byte) { copy(b, to); copy(b[6:], macVirtual) })
}

// sent is a frame as it travels inside a tunnel packet from an endpoint's host.
func sent(b []byte) []byte {
	return mutate(b, func(b []byte) { copy(b, macVirtual); copy(b[6:], macA) })
}
