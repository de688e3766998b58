// SPDX-License-Identifier: Apache-2.0

package packet_test

import (
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/encap"
	"github.com/mizar-go/mizar/internal/packet"
)

func TestDecodeTunnel(t *testing.T) {
	inner := packet.Eth(packet.MAC(1), packet.MAC(2)).VLAN(9).
		IPv6(packet.Endpoint6(1), packet.Endpoint6(2)).HopByHop().TCP(1000, 80).Payload(5)
	b := tunnel4(packet.Option(0x0102, 3, 1, 2, 3, 4), packet.RTS(packet.Host6(1), 3)).Packet(inner).Build(t)
	d, err := packet.Decode(b)
	require.NoError(t, err)
	require.True(t, d.Tunnel())
	assert.Equal(t, b, d.Outer.Bytes)
	assert.Equal(t, packet.Host4(1), d.Outer.Source)
	assert.Equal(t, packet.Host4(2), d.Outer.Destination)
	assert.EqualValues(t, 49152, d.Outer.UDP.SrcPort)
	assert.EqualValues(t, 7, d.VNI)
	require.Len(t, d.Options, 2)
	assert.Equal(t, encap.Option{Class: 0x0102, Type: 3, Data: []byte{1, 2, 3, 4}}, d.Options[0])
	known, err := d.Known()
	require.NoError(t, err)
	assert.Equal(t, &encap.ReturnToSender{Host: packet.Host6(1), Hops: 3}, known.ReturnToSender)

	assert.Equal(t, inner.Build(t), d.Inner.Bytes)
	assert.Equal(t, packet.MAC(1), d.Inner.Eth.SrcMAC)
	require.Len(t, d.Inner.VLAN, 1)
	assert.EqualValues(t, 9, d.Inner.VLAN[0].VLANIdentifier)
	assert.Equal(t, packet.Endpoint6(1), d.Inner.Source)
	assert.Equal(t, packet.Endpoint6(2), d.Inner.Destination)
	assert.Equal(t, []uint8{packet.ProtocolHopByHop}, d.Inner.Extensions)
	assert.EqualValues(t, packet.ProtocolTCP, d.Inner.Protocol)
	assert.EqualValues(t, 80, d.Inner.TCP.DstPort)
	assert.Equal(t, []byte{0, 1, 2, 3, 4}, d.Inner.Payload)
	assert.Nil(t, d.Inner.UDP)
	assert.Nil(t, d.Inner.Fragment)
}

func TestDecodeAnotherPort(t *testing.T) {
	b := tunnel4().With(packet.Ports(49152, 7777)).Packet(frame4().UDP(1, 2)).Build(t)
	d, err := packet.Decode(b)
	require.NoError(t, err)
	assert.False(t, d.Tunnel())
	d, err = packet.DecodePort(b, 7777)
	require.NoError(t, err)
	assert.True(t, d.Tunnel())
	assert.Equal(t, packet.Endpoint4(2), d.Inner.Destination)
}

func TestDecodePlain(t *testing.T) {
	decode := func(p packet.Packet) packet.Frame {
		d, err := packet.Decode(p.Build(t))
		require.NoError(t, err)
		assert.False(t, d.Tunnel())
		return d.Outer
	}
	f := decode(packet.Eth(packet.MAC(1), packet.Broadcast(), packet.Padding(18)).
		ARPRequest(packet.MAC(1), packet.Endpoint4(1), packet.Endpoint4(2)))
	assert.EqualValues(t, 1, f.ARP.Operation)
	assert.Equal(t, packet.Endpoint4(1), f.Source)
	assert.Equal(t, packet.Endpoint4(2), f.Destination)
	assert.Len(t, f.Padding, 18)
	assert.Empty(t, f.Payload)

	f = decode(solicit())
	assert.Equal(t, packet.Endpoint6(2), netip.MustParseAddr(f.Solicit.TargetAddress.String()))
	assert.Len(t, f.Solicit.Options, 1)

	f = decode(frame6().NeighbourAdvert(packet.Endpoint6(1), packet.TargetLink(packet.MAC(1))))
	assert.True(t, f.Advert.Solicited())
	assert.True(t, f.Advert.Override())
	assert.EqualValues(t, packet.MAC(1), f.Advert.Options[0].Data)

	f = decode(frame6().HopByHop().Routing(4).AH().Fragment(8, true, 5, packet.ExtensionNext(packet.ProtocolAH)).Payload(40))
	assert.Equal(t, []uint8{packet.ProtocolHopByHop, packet.ProtocolRouting, packet.ProtocolAH, packet.ProtocolFragment}, f.Extensions)
	assert.Equal(t, &packet.Piece{Offset: 8, More: true, ID: 5}, f.Fragment)
	assert.Len(t, f.Payload, 40, "what follows a later fragment's header is data, whatever it says")

	f = decode(frame4().SCTP(1, 2).Payload(8))
	assert.EqualValues(t, 2, f.SCTP.DstPort)
	assert.Len(t, f.Payload, 8)

	f = decode(frame4().UDP(1, 2).Payload(8).With(packet.Padding(4)))
	assert.Len(t, f.Payload, 8)
	assert.Len(t, f.Padding, 4)

	f = decode(frame6().UDP(1, 2).Payload(8).With(packet.Padding(4)))
	assert.Len(t, f.Payload, 8)
	assert.Len(t, f.Padding, 4)
}

// A packet that ends early is not taken for a shorter one.
func TestDecodeEveryCut(t *testing.T) {
	for _, c := range valid {
		whole := c.p.Build(t)
		d, err := packet.Decode(whole)
		require.NoError(t, err)
		end := len(whole) - len(d.Outer.Padding)
		if d.Outer.IPv4 == nil && d.Outer.IPv6 == nil && d.Outer.ARP == nil {
			end = 14 // nobody knows how long it was
		}
		for n := range end {
			_, err := packet.Decode(whole[:n:n])
			require.Error(t, err, "%s: %d of %d bytes", c.name, n, len(whole))
		}
	}
}

func TestDecodeMalformed(t *testing.T) {
	tun := tunnel4(packet.RTS(packet.Host4(1), 4)).Packet(frame4().UDP(1, 2).Payload(100))
	for _, c := range []struct {
		name string
		p    packet.Packet
		want string
	}{
		{"IHL", tun.Outer(packet.IHL(4)), "header length"},
		{"version", tun.Inner(packet.Version(6)), "inner: IPv4: version 6"},
		{"version 6", frame6().UDP(1, 2).With(packet.Version(4)), "IPv6: version 4"},
		{"total length", tun.Outer(packet.TotalLength(2000)), "IPv4: cut short"},
		{"payload length", frame6().UDP(1, 2).With(packet.PayloadLength(9)), "IPv6: cut short"},
		{"UDP length", tun.Inner(packet.UDPLength(2000)), "inner: UDP: cut short"},
		{"UDP too short", tun.Outer(packet.UDPLength(7)), "UDP"},
		{"options beyond", tun.Outer(packet.GeneveLength(63)), "geneve"},
		{"option into the frame", tun.Outer(packet.OptionLength(6)), "28 bytes of options in 24"},
		{"extension", frame6().HopByHop(packet.ExtensionLength(9)).UDP(1, 2), "IPv6"},
		{"second extension", frame6().HopByHop().DestinationOptions(packet.ExtensionLength(9)).UDP(1, 2), "IPv6 extension 60"},
		{"ND option", solicit(packet.NDOptionLength(9)), "ICMPv6NeighborSolicitation"},
		{"SCTP", frame4().With(packet.Protocol(packet.ProtocolSCTP)).Payload(11), "SCTP"},
		{"ICMPv6", frame6().With(packet.Protocol(packet.ProtocolICMPv6)).Raw([]byte{128, 0, 0, 0, 1, 2, 3}), "ICMPv6: 7 bytes"},
		{"fragment header", frame6().With(packet.Protocol(packet.ProtocolFragment)).Payload(7), "IPv6Fragment"},
		{"AH", frame6().AH(packet.ExtensionLength(20)).UDP(1, 2), "IPSecAH"},
		{"ARP", packet.Eth(packet.MAC(1), packet.MAC(2)).
			ARPRequest(packet.MAC(1), packet.Host4(1), packet.Host4(2), packet.ARPLengths(8, 4)), "ARP"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := packet.Decode(c.p.Build(t))
			require.ErrorContains(t, err, c.want)
			assert.Zero(t, d)
		})
	}
}

// What decodes well may still be wrong.
func TestVerify(t *testing.T) {
	udp, udp6 := frame4().UDP(1, 2).Payload(8), frame6().UDP(1, 2).Payload(8)
	for _, c := range []struct {
		name string
		p    packet.Packet
		want string
	}{
		{"header checksum", udp.With(packet.HeaderChecksum(1)), "ipv4: checksum"},
		{"no total length", udp.With(packet.TotalLength(0)), "total length 0"},
		{"total length", frame4().With(packet.TotalLength(28)).UDP(1, 2, packet.UDPLength(8), packet.UDPChecksum(0)).Payload(50), "50 bytes behind the packet"},
		{"udp checksum", udp.With(packet.UDPChecksum(1)), "udp: checksum"},
		{"udp length", udp.With(packet.UDPLength(9)), "udp: length 9 of 16"},
		{"no udp length", udp.With(packet.UDPLength(0)), "udp: length 0 of 16"},
		{"no checksum 6", udp6.With(packet.UDPChecksum(0)), "no checksum over IPv6"},
		{"in one fragment that is all", frame6().Fragment(0, false, 5).UDP(1, 2, packet.UDPChecksum(1)), "udp: checksum"},
		{"udp checksum 6", udp6.With(packet.UDPChecksum(1)), "udp: checksum"},
		{"tcp checksum", frame4().TCP(1, 2, packet.TCPChecksum(1)), "tcp: checksum"},
		{"tcp checksum 6", frame6().TCP(1, 2, packet.TCPChecksum(1)), "tcp: checksum"},
		{"sctp checksum", frame4().SCTP(1, 2, packet.SCTPChecksum(1)), "sctp: checksum"},
		{"icmp checksum", frame4().Echo(1, 2, packet.ICMPChecksum(1)), "icmp: checksum"},
		{"icmpv6 checksum", frame6().Echo6(1, 2, packet.ICMPChecksum(1)), "icmpv6: checksum"},
		{"padding", frame4().UDP(1, 2).Payload(50).With(packet.Padding(1)), "1 bytes behind"},
		{"outer checksum", tunnel4().With(packet.UDPChecksum(1)).Packet(udp), "udp: checksum"},
		{"inside", tunnel6().Packet(udp6.With(packet.UDPChecksum(0))), "inner: udp: no checksum over IPv6"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := packet.Decode(c.p.Build(t))
			require.NoError(t, err)
			require.ErrorContains(t, d.Verify(), c.want)
		})
	}
}

func FuzzDecode(f *testing.F) {
	for _, c := range valid {
		f.Add(c.p.Build(f))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := packet.Decode(b)
		if err != nil {
			require.Zero(t, d)
			return
		}
		require.Equal(t, b, d.Outer.Bytes)
		_ = d.Verify() // whatever it says, it comes back
	})
}

func TestDiff(t *testing.T) {
	p := frame4().UDP(1, 2).Payload(8)
	assert.Empty(t, packet.Diff(p.Build(t), p.Build(t)))
	s := packet.Diff(p.Build(t), p.With(packet.Ports(1, 3)).Build(t))
	assert.Contains(t, s, "at byte 37:")
	assert.Contains(t, s, "DstPort=2")
	assert.Contains(t, s, "DstPort=3")
	s = packet.Diff(p.Build(t), p.Build(t)[:20])
	assert.Contains(t, s, "at byte 20:")
	assert.NotEmpty(t, packet.Diff(nil, []byte{1}))
}

func TestWithoutMACs(t *testing.T) {
	b := tunnel4().Packet(frame4().UDP(1, 2)).Build(t)
	other := tunnel4().Outer(packet.EthSource(packet.MAC(8)), packet.EthDestination(packet.MAC(9))).Packet(frame4().UDP(1, 2)).Build(t)
	require.NotEqual(t, b, other)
	assert.Equal(t, packet.WithoutMACs(b), packet.WithoutMACs(other))
	assert.Equal(t, packet.MAC(9), net.HardwareAddr(other[:6]), "it copies")
	assert.Equal(t, []byte{0}, packet.WithoutMACs([]byte{1}))
}
