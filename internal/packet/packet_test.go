// SPDX-License-Identifier: Apache-2.0

package packet_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/internal/packet"
)

func TestValid(t *testing.T) {
	for _, c := range valid {
		t.Run(c.name, func(t *testing.T) {
			d, err := packet.Decode(c.p.Build(t))
			require.NoError(t, err)
			require.NoError(t, d.Verify())
		})
	}
}

// One packet, written out by hand.
func TestBytes(t *testing.T) {
	b := packet.Eth(packet.MAC(3), packet.MAC(4)).
		IPv4(packet.Host4(1), packet.Host4(2), packet.DontFragment()).
		UDP(49152, 6081).
		Geneve(7, packet.RTS(packet.Host4(1), 4)).
		Eth(packet.MAC(1), packet.MAC(2)).
		VLAN(9).
		IPv6(packet.Endpoint6(1), packet.Endpoint6(2), packet.TTL(1)).
		UDP(1000, 2000).
		Payload(3).
		Build(t)
	want := `
		00005e005304 00005e005303 0800
		45 00 0081 0000 4000 40 11 b668 c0000201 c0000202
		c000 17c1 006d 0000
		06 00 6558 000007 00
		ff4d 01 05 04 000000 00000000 00000000 0000ffff c0000201
		00005e005302 00005e005301 8100
		0009 86dd
		60000000 000b 11 01 20010db8000000020000000000000001 20010db8000000020000000000000002
		03e8 07d0 000b 96a6
		000102`
	expect, err := hex.DecodeString(strings.Join(strings.Fields(want), ""))
	require.NoError(t, err)
	require.Empty(t, packet.Diff(expect, b))
}

// What a packet was made from is as it was, and what was made from one is not changed by the next.
func TestPacketsAreValues(t *testing.T) {
	base := frame4()
	before := base.Build(t)
	udp, tcp := base.UDP(1, 2), base.TCP(3, 4)
	require.NotEqual(t, udp.Build(t), tcp.Build(t))
	require.Equal(t, base.UDP(1, 2).Build(t), udp.Build(t))
	require.Equal(t, before, base.Build(t))

	udp.With(packet.TTL(1), packet.Ports(9, 9), packet.Padding(9)).Poke(0, 1, 2)
	require.Equal(t, base.UDP(1, 2).Build(t), udp.Build(t))

	tunnel := tunnel4(packet.RTS(packet.Host4(1), 4)).Packet(udp)
	one := tunnel.Outer(packet.RTS(packet.Host4(2), 1))
	two := tunnel.Outer(packet.RTS(packet.Host4(3), 1))
	require.NotEqual(t, one.Build(t), two.Build(t))
	require.Equal(t, tunnel4(packet.RTS(packet.Host4(1), 4)).Packet(udp).Build(t), tunnel.Build(t))
	require.Equal(t, tunnel.Outer(packet.RTS(packet.Host4(2), 1)).Build(t), one.Build(t))

	nd := solicit()
	longer := nd.With(packet.TargetLink(packet.MAC(1)))
	require.Equal(t, solicit().Build(t), nd.Build(t))
	require.Len(t, longer.Build(t), len(nd.Build(t))+8)
}

func TestWithOuterInner(t *testing.T) {
	p := tunnel6().Packet(frame4().UDP(1, 2).Payload(8))
	decode := func(p packet.Packet) packet.Decoded {
		d, err := packet.Decode(p.Build(t))
		require.NoError(t, err)
		require.NoError(t, d.Verify())
		return d
	}
	d := decode(p.With(packet.TTL(9), packet.ID(10), packet.VNI(11)))
	assert.EqualValues(t, 9, d.Outer.IPv6.HopLimit, "the first of either family")
	assert.EqualValues(t, 10, d.Inner.IPv4.Id, "the first that has the field")
	assert.EqualValues(t, 11, d.VNI)

	d = decode(p.Outer(packet.TOS(0xb8), packet.Ports(50000, 6081)).Inner(packet.TTL(9), packet.Ports(7, 8)))
	assert.EqualValues(t, 0xb8, d.Outer.IPv6.TrafficClass)
	assert.EqualValues(t, 64, d.Outer.IPv6.HopLimit)
	assert.EqualValues(t, 50000, d.Outer.UDP.SrcPort)
	assert.EqualValues(t, 9, d.Inner.IPv4.TTL)
	assert.EqualValues(t, 7, d.Inner.UDP.SrcPort)
}

func TestPacketWithPokesInATunnel(t *testing.T) {
	inner := frame4().UDP(1, 2).Payload(8)
	poked := inner.Poke(12, 0x08, 0x06)
	b := tunnel4().Packet(poked).Build(t)
	require.Equal(t, poked.Build(t), b[14+20+8+8:])
	require.Len(t, tunnel4().Packet(inner).Build(t), len(b))
	require.EqualValues(t, []byte{0x65, 0x58}, b[14+20+8+2:14+20+8+4])
}

func TestQuote(t *testing.T) {
	original := frame4().UDP(1000, 2000).Payload(100)
	d, err := packet.Decode(frame4().FragmentationNeeded(1400).Quote(original, 28).Build(t))
	require.NoError(t, err)
	assert.Equal(t, original.Build(t)[14:14+28], d.Outer.Payload)
	assert.EqualValues(t, 1400, d.Outer.ICMP.Seq)

	d, err = packet.Decode(frame6().PacketTooBig(1400).Quote(original, 1000).Build(t))
	require.NoError(t, err)
	assert.Equal(t, original.Build(t)[14:], d.Outer.Payload)
}

func TestMistakes(t *testing.T) {
	for _, c := range []struct {
		name string
		p    packet.Packet
	}{
		{"IPv6 address in IPv4", packet.Eth(packet.MAC(1), packet.MAC(2)).IPv4(packet.Host6(1), packet.Host4(1))},
		{"IPv4 address in IPv6", packet.Eth(packet.MAC(1), packet.MAC(2)).IPv6(packet.Host6(1), packet.Host4(1))},
		{"field of IPv4 in IPv6", packet.Eth(packet.MAC(1), packet.MAC(2)).IPv6(packet.Host6(1), packet.Host6(1), packet.IHL(5))},
		{"field of IPv6 in IPv4", packet.Eth(packet.MAC(1), packet.MAC(2)).IPv4(packet.Host4(1), packet.Host4(1), packet.FlowLabel(5))},
		{"short MAC", packet.Eth(packet.MAC(1)[:5], packet.MAC(2))},
		{"no such header", frame4().With(packet.UDPLength(9))},
		{"no header inside", frame4().UDP(1, 2).Inner(packet.UDPLength(9))},
		{"header only inside", tunnel4().Packet(frame4().TCP(1, 2)).Outer(packet.DataOffset(9))},
		{"too long for IPv4", frame4().UDP(1, 2, packet.UDPLength(9)).Payload(65536 - 28)},
		{"too long for IPv6", frame6().UDP(1, 2, packet.UDPLength(9)).Payload(65536 - 8)},
		{"too long for UDP", packet.Packet{}.UDP(1, 2).Payload(65536 - 8)},
		{"too many IP options", frame4().With(packet.IPOptions(make([]byte, 41)...))},
		{"too many TCP options", frame4().TCP(1, 2, packet.TCPOptions(make([]byte, 41)...))},
		{"odd offset", frame4().With(packet.FragmentOffset(9))},
		{"odd offset 6", frame6().Fragment(9, true, 1)},
		{"flow label", frame6().With(packet.FlowLabel(1 << 20))},
		{"vlan", packet.Eth(packet.MAC(1), packet.MAC(2)).VLAN(4096)},
		{"vlan priority", packet.Eth(packet.MAC(1), packet.MAC(2)).VLAN(1, packet.VLANPriority(8))},
		{"long snap", packet.Eth(packet.MAC(1), packet.MAC(2)).SNAP().Payload(1493)},
		{"arp of IPv6", packet.Eth(packet.MAC(1), packet.MAC(2)).ARPRequest(packet.MAC(1), packet.Host6(1), packet.Host6(2))},
		{"vni", tunnel4().With(packet.VNI(1 << 24))},
		{"vxlan vni", frame4().UDP(1, 4789).VXLAN(1 << 24)},
		{"geneve version", tunnel4().With(packet.GeneveVersion(4))},
		{"geneve length", tunnel4().With(packet.GeneveLength(64))},
		{"long option", tunnel4().With(packet.GeneveLength(1), packet.Option(1, 1, make([]byte, 253)...))},
		{"length of no option", tunnel4().With(packet.OptionLength(1))},
		{"length of no ND option", frame6().RouterSolicit(packet.NDOptionLength(1))},
		{"target of no discovery", frame6().Echo6(1, 1, packet.NDTarget(packet.Host6(1)))},
		{"long extension", frame6().HopByHop(packet.ExtensionData(make([]byte, 2047)...))},
		{"long AH", frame6().AH(packet.ExtensionData(make([]byte, 1030)...))},
		{"quote of no IP", frame4().FragmentationNeeded(9).Quote(packet.Eth(packet.MAC(1), packet.MAC(2)), 9)},
		{"quote of a mistake", frame4().FragmentationNeeded(9).Quote(frame4().With(packet.FlowLabel(1)), 9)},
		{"mistake inside", tunnel4().Packet(frame4().With(packet.FlowLabel(1)))},
		{"poked mistake inside", tunnel4().Packet(frame4().Poke(100, 1))},
		{"keep too much", frame4().With(packet.Keep(1000))},
		{"keep too much of geneve", tunnel4().With(packet.GeneveKeep(1000))},
		{"poke beyond", frame4().Poke(34, 1)},
		{"poke before", frame4().Poke(-1, 1)},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Error(t, c.p.Err())
			require.Nil(t, c.p.Bytes())
		})
	}
}

func TestNoMistake(t *testing.T) {
	p := frame4().UDP(1, 2)
	require.NoError(t, p.Err())
	require.Equal(t, p.Build(t), p.Bytes())
}
