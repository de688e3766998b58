// SPDX-License-Identifier: Apache-2.0

package packet_test

import (
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/internal/packet"
)

// span is bytes in hex at an offset.
type span struct {
	off int
	hex string
}

// Each field changes its own bytes and the checksums over them, and nothing else.
func TestFields(t *testing.T) {
	const l3, l4 = 14, 34   // of frame4
	const l46 = 54          // L4 of frame6
	const gnv = 14 + 20 + 8 // of tunnel4
	const opt = gnv + 8     // its first option

	udp := frame4().UDP(1000, 2000).Payload(8)
	udp6 := frame6().UDP(1000, 2000).Payload(8)
	tcp := frame4().TCP(1000, 80).Payload(8)
	tun := tunnel4(packet.RTS(packet.Host4(1), 4)).Packet(udp)
	arp := packet.Eth(packet.MAC(1), packet.Broadcast()).ARPRequest(packet.MAC(1), packet.Endpoint4(1), packet.Endpoint4(2))
	tag := packet.Eth(packet.MAC(1), packet.MAC(2)).VLAN(9).Payload(8)
	llc := packet.Eth(packet.MAC(1), packet.MAC(2)).SNAP().Payload(8)
	ext := frame6().HopByHop().UDP(1, 2)
	ah := frame6().AH().UDP(1, 2)
	ping := frame4().Echo(1, 2)
	nd := solicit()

	for _, c := range []struct {
		name  string
		p     packet.Packet
		field packet.Field
		want  []span
		sums  []int // offsets of checksums that change with it
	}{
		{"EthSource", udp, packet.EthSource(packet.MAC(9)), []span{{6, "00005e005309"}}, nil},
		{"EthDestination", udp, packet.EthDestination(packet.MAC(9)), []span{{0, "00005e005309"}}, nil},
		{"EtherType", udp, packet.EtherType(0x1234), []span{{12, "1234"}}, nil},
		{"VLANID", tag, packet.VLANID(10), []span{{14, "000a"}}, nil},
		{"VLANPriority", tag, packet.VLANPriority(7), []span{{14, "e009"}}, nil},
		{"VLANType", tag, packet.VLANType(0x1234), []span{{16, "1234"}}, nil},
		{"TPID", tag, packet.TPID(packet.TypeQinQ), []span{{12, "88a8"}}, nil},
		{"SNAPType", llc, packet.SNAPType(0x1234), []span{{20, "1234"}}, nil},
		{"ARPHardware", arp, packet.ARPHardware(6), []span{{14, "0006"}}, nil},
		{"ARPProtocol", arp, packet.ARPProtocol(0x86dd), []span{{16, "86dd"}}, nil},
		{"ARPLengths", arp, packet.ARPLengths(8, 16), []span{{18, "0810"}}, nil},
		{"ARPOperation", arp, packet.ARPOperation(3), []span{{20, "0003"}}, nil},
		{"ARPSender", arp, packet.ARPSender(packet.MAC(9), packet.Other4(9)), []span{{22, "00005e005309cb007109"}}, nil},
		{"ARPTarget", arp, packet.ARPTarget(packet.MAC(9), packet.Other4(9)), []span{{32, "00005e005309cb007109"}}, nil},

		{"Version", udp, packet.Version(5), []span{{l3, "55"}}, []int{l3 + 10}},
		{"IHL", udp, packet.IHL(4), []span{{l3, "44"}}, []int{l3 + 10}},
		{"TOS", udp, packet.TOS(3), []span{{l3 + 1, "03"}}, []int{l3 + 10}},
		{"TotalLength", udp, packet.TotalLength(19), []span{{l3 + 2, "0013"}}, []int{l3 + 10}},
		{"ID", udp, packet.ID(0x1234), []span{{l3 + 4, "1234"}}, []int{l3 + 10}},
		{"ReservedFlag", udp, packet.ReservedFlag(), []span{{l3 + 6, "8000"}}, []int{l3 + 10}},
		{"DontFragment", udp, packet.DontFragment(), []span{{l3 + 6, "4000"}}, []int{l3 + 10}},
		{"MoreFragments", udp, packet.MoreFragments(), []span{{l3 + 6, "2000"}}, []int{l3 + 10}},
		{"FragmentOffset", udp, packet.FragmentOffset(0xfff8), []span{{l3 + 6, "1fff"}}, []int{l3 + 10}},
		{"TTL", udp, packet.TTL(1), []span{{l3 + 8, "01"}}, []int{l3 + 10}},
		{"Protocol", udp, packet.Protocol(6), []span{{l3 + 9, "06"}}, []int{l3 + 10}},
		{"HeaderChecksum", udp, packet.HeaderChecksum(0x1234), []span{{l3 + 10, "1234"}}, nil},
		{"Source", udp, packet.Source(packet.Other4(9)), []span{{l3 + 12, "cb007109"}}, []int{l3 + 10, l4 + 6}},
		{"Destination", udp, packet.Destination(packet.Other4(9)), []span{{l3 + 16, "cb007109"}}, []int{l3 + 10, l4 + 6}},

		{"Version 6", udp6, packet.Version(5), []span{{l3, "50"}}, nil},
		{"TOS 6", udp6, packet.TOS(0xb9), []span{{l3, "6b90"}}, nil},
		{"FlowLabel", udp6, packet.FlowLabel(0xf1234), []span{{l3 + 1, "0f1234"}}, nil},
		{"PayloadLength", udp6, packet.PayloadLength(9), []span{{l3 + 4, "0009"}}, nil},
		{"Protocol 6", udp6, packet.Protocol(6), []span{{l3 + 6, "06"}}, nil},
		{"TTL 6", udp6, packet.TTL(1), []span{{l3 + 7, "01"}}, nil},
		{"Source 6", udp6, packet.Source(packet.Mapped(packet.Other4(9))),
			[]span{{l3 + 8, "00000000000000000000ffffcb007109"}}, []int{l46 + 6}},
		{"Destination 6", udp6, packet.Destination(packet.Mapped(packet.Other4(9))),
			[]span{{l3 + 24, "00000000000000000000ffffcb007109"}}, []int{l46 + 6}},
		{"ExtensionNext", ext, packet.ExtensionNext(6), []span{{l46, "06"}}, nil},
		{"ExtensionLength", ext, packet.ExtensionLength(9), []span{{l46 + 1, "09"}}, nil},
		{"ExtensionData", ext, packet.ExtensionData(1, 2, 3, 4), []span{{l46 + 2, "010203040000"}}, nil},
		{"ExtensionLength of AH", ah, packet.ExtensionLength(9), []span{{l46 + 1, "09"}}, nil},

		{"UDPLength", udp, packet.UDPLength(7), []span{{l4 + 4, "0007"}}, []int{l4 + 6}},
		{"UDPChecksum", udp, packet.UDPChecksum(0), []span{{l4 + 6, "0000"}}, nil},
		{"Ports", udp, packet.Ports(9, 10), []span{{l4, "0009000a"}}, []int{l4 + 6}},
		{"Ports of TCP", tcp, packet.Ports(9, 10), []span{{l4, "0009000a"}}, []int{l4 + 16}},
		{"Seq", tcp, packet.Seq(9), []span{{l4 + 4, "00000009"}}, []int{l4 + 16}},
		{"Ack", tcp, packet.Ack(9), []span{{l4 + 8, "00000009"}}, []int{l4 + 16}},
		{"DataOffset", tcp, packet.DataOffset(4), []span{{l4 + 12, "40"}}, []int{l4 + 16}},
		{"TCPFlags", tcp, packet.TCPFlags(packet.SYN | packet.CWR), []span{{l4 + 13, "82"}}, []int{l4 + 16}},
		{"Window", tcp, packet.Window(9), []span{{l4 + 14, "0009"}}, []int{l4 + 16}},
		{"TCPChecksum", tcp, packet.TCPChecksum(9), []span{{l4 + 16, "0009"}}, nil},
		{"Urgent", tcp, packet.Urgent(9), []span{{l4 + 18, "0009"}}, []int{l4 + 16}},
		{"SCTPTag", frame4().SCTP(1, 2, packet.SCTPChecksum(0)), packet.SCTPTag(9), []span{{l4 + 4, "00000009"}}, nil},
		{"SCTPChecksum", frame4().SCTP(1, 2), packet.SCTPChecksum(0x04030201), []span{{l4 + 8, "01020304"}}, nil},

		{"ICMPType", ping, packet.ICMPType(0), []span{{l4, "00"}}, []int{l4 + 2}},
		{"ICMPCode", ping, packet.ICMPCode(9), []span{{l4 + 1, "09"}}, []int{l4 + 2}},
		{"ICMPChecksum", ping, packet.ICMPChecksum(9), []span{{l4 + 2, "0009"}}, nil},
		{"ICMPRest", ping, packet.ICMPRest(9), []span{{l4 + 4, "00000009"}}, []int{l4 + 2}},
		{"NDTarget", nd, packet.NDTarget(packet.Other6(9)), []span{{l46 + 8, "20010db8000000030000000000000009"}}, []int{l46 + 2}},
		{"AdvertFlags", nd, packet.AdvertFlags(packet.Router), []span{{l46 + 4, "80000000"}}, []int{l46 + 2}},
		{"NDOptionLength", nd, packet.NDOptionLength(0), []span{{l46 + 25, "00"}}, []int{l46 + 2}},

		{"VNI", tun, packet.VNI(9), []span{{gnv + 4, "000009"}}, nil},
		{"GeneveVersion", tun, packet.GeneveVersion(1), []span{{gnv, "46"}}, nil},
		{"GeneveLength", tun, packet.GeneveLength(63), []span{{gnv, "3f"}}, nil},
		{"Control", tun, packet.Control(), []span{{gnv + 1, "80"}}, nil},
		{"CriticalBit", tun, packet.CriticalBit(true), []span{{gnv + 1, "40"}}, nil},
		{"GeneveProtocol", tun, packet.GeneveProtocol(0x1234), []span{{gnv + 2, "1234"}}, nil},
		{"OptionLength", tun, packet.OptionLength(31), []span{{opt + 3, "1f"}}, nil},
		{"CriticalBit off", tunnel4(packet.CriticalRTS(packet.Host4(1), 4)), packet.CriticalBit(false), []span{{gnv + 1, "00"}}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			before, after := c.p.Build(t), c.p.With(c.field).Build(t)
			require.Len(t, after, len(before))
			require.NotEqual(t, before, after)
			for _, s := range c.want {
				b, err := hex.DecodeString(s.hex)
				require.NoError(t, err)
				require.Equal(t, s.hex, hex.EncodeToString(after[s.off:s.off+len(b)]))
				copy(before[s.off:], b)
			}
			for _, off := range c.sums {
				assert.NotEqual(t, before[off:off+2], after[off:off+2], "checksum at %d", off)
				copy(before[off:off+2], after[off:])
			}
			require.Empty(t, packet.Diff(before, after))
		})
	}
}

// Fields that change the packet's size.
func TestSizes(t *testing.T) {
	plain := frame4().UDP(1000, 2000).Payload(8)
	size := len(plain.Build(t))

	b := plain.With(packet.Padding(18)).Build(t)
	require.Len(t, b, size+18)
	assert.Equal(t, plain.Build(t), b[:size])

	assert.Equal(t, plain.Build(t)[:20], plain.With(packet.Keep(20)).Build(t))

	// The outer headers know of what was cut off inside, and not of what was cut off outside.
	tun := tunnel4().Packet(plain)
	d, err := packet.Decode(tun.Inner(packet.Padding(3)).Build(t))
	require.NoError(t, err)
	assert.Len(t, d.Inner.Bytes, size+3)
	b = tun.Inner(packet.Keep(20)).Build(t)
	assert.Len(t, b, len(tun.Build(t))-size+20)
	_, err = packet.Decode(b)
	assert.ErrorContains(t, err, "inner: IPv4")
	b = tun.Outer(packet.GeneveKeep(5)).Build(t)
	assert.Len(t, b, 14+20+8+5)
	_, err = packet.Decode(b)
	assert.ErrorContains(t, err, "geneve")
	_, err = packet.Decode(tun.Outer(packet.Keep(90)).Build(t))
	assert.ErrorContains(t, err, "cut short")

	without := tunnel4(packet.RTS(packet.Host4(1), 4)).Packet(plain).Outer(packet.NoOptions())
	assert.Equal(t, tun.Build(t), without.Build(t))
	assert.Len(t, solicit().With(packet.NoNDOptions()).Build(t), 14+40+24)
	assert.Len(t, plain.With(packet.IPOptions(1)).Build(t), size+4)
	assert.Len(t, frame4().TCP(1, 2, packet.TCPOptions(1, 1, 1, 1, 1)).Build(t), 14+20+28)
}

// Neighbour discovery starts with a hop limit of 255, also behind extension headers.
func TestDiscoveryHopLimit(t *testing.T) {
	for _, c := range []struct {
		p    packet.Packet
		want byte
	}{
		{solicit(), 255},
		{frame6().HopByHop().NeighbourAdvert(packet.Endpoint6(1)), 255},
		{solicit().With(packet.TTL(64)), 64},
		{frame6().Echo6(1, 1), 64},
		{frame6().HopByHop(), 64},
	} {
		assert.Equal(t, c.want, c.p.Build(t)[14+7])
	}
}

// A checksum that comes out as 0 is written as 0xffff, as 0 says that there is none.
func TestUDPChecksumIsNeverZero(t *testing.T) {
	p := frame4().UDP(0, 0)
	sum := p.Build(t)[34+6:]
	sport := uint16(sum[0])<<8 | uint16(sum[1])
	b := p.With(packet.Ports(sport, 0)).Build(t)
	assert.Equal(t, []byte{0xff, 0xff}, b[34+6:34+8])
	d, err := packet.Decode(b)
	require.NoError(t, err)
	require.NoError(t, d.Verify())
}
