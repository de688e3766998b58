// SPDX-License-Identifier: Apache-2.0

package afxdp

import (
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/encap"
	"github.com/mizar-go/mizar/internal/packet"
	"github.com/mizar-go/mizar/maps"
)

var (
	mac1, mac2 = packet.MAC(1), packet.MAC(2)
	request    = packet.Eth(packet.MAC(3), packet.MAC(4)).IPv4(packet.Endpoint4(1), packet.Endpoint4(2), packet.TOS(0xb9)).UDP(1000, 2000).Payload(64)
	answer     = packet.Eth(packet.MAC(4), packet.MAC(3)).IPv4(packet.Endpoint4(2), packet.Endpoint4(1), packet.TOS(0xb9)).UDP(2000, 1000).Payload(80)
)

// holding is a frame that holds a packet.
func holding(t testing.TB, b []byte) Frame {
	t.Helper()
	k := newKernel(t, false)
	k.s.port, k.s.class = encap.Port, encap.OptionClass
	addr := k.filled()
	copy(k.s.umem.mem[addr+256:], b)
	d := good(addr)
	d.Len = uint32(len(b))
	k.says(d)
	got := k.receive()
	require.Len(t, got, 1)
	return got[0]
}

func TestDecode(t *testing.T) {
	for _, c := range []struct {
		name     string
		src, dst netip.Addr
		fields   []packet.GeneveField
		rts      encap.ReturnToSender
	}{
		{"direct", packet.Host4(1), packet.Host4(2), nil, encap.ReturnToSender{}},
		{"by a bouncer", packet.Host4(1), packet.Host4(2), []packet.GeneveField{packet.RTS(packet.Host4(9), 3)},
			encap.ReturnToSender{Host: packet.Host4(9), Hops: 3}},
		{"IPv6", packet.Host6(1), packet.Host6(2), []packet.GeneveField{packet.Option(1, 2, 3), packet.CriticalRTS(packet.Host6(9), 0)},
			encap.ReturnToSender{Host: packet.Host6(9), Critical: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := packet.Eth(mac1, mac2).Tunnel(c.src, c.dst, 7, c.fields...).With(packet.TOS(0xb8)).Packet(request).Build(t)
			f := holding(t, append(b, 0, 0, 0)) // padding
			var tunnel Tunnel
			require.NoError(t, f.Decode(&tunnel))
			assert.Equal(t, [6]byte(mac1), tunnel.SourceMAC)
			assert.Equal(t, [6]byte(mac2), tunnel.DestinationMAC)
			assert.Equal(t, c.src, tunnel.Source)
			assert.Equal(t, c.dst, tunnel.Destination)
			assert.Equal(t, uint16(49152), tunnel.SourcePort)
			assert.Equal(t, uint8(0xb8), tunnel.TOS)
			assert.Equal(t, uint32(7), tunnel.Header.VNI)
			assert.Len(t, tunnel.Header.Options, len(c.fields))
			assert.Equal(t, c.rts, tunnel.ReturnToSender)
			assert.Equal(t, request.Build(t), tunnel.Inner)
			assert.Equal(t, len(request.Build(t)), tunnel.Length)
			assert.Equal(t, len(b)-tunnel.Length, tunnel.Offset)
		})
	}
}

// Each is a good packet but for one thing.
func TestDecodeMalformed(t *testing.T) {
	v4 := packet.Eth(mac1, mac2).Tunnel(packet.Host4(1), packet.Host4(2), 7).Packet(request)
	v6 := packet.Eth(mac1, mac2).Tunnel(packet.Host6(1), packet.Host6(2), 7).Packet(request)
	for _, c := range []struct {
		name string
		p    packet.Packet
		want error
	}{
		{"other EtherType", v4.With(packet.EtherType(0x806)), ErrNotTunnel},
		{"other port", v4.With(packet.Ports(49152, 6082)), ErrNotTunnel},
		{"other protocol", v4.With(packet.Protocol(6)), ErrNotTunnel},
		{"version 5", v4.With(packet.Version(5)), ErrNotTunnel},
		{"short IHL", v4.With(packet.IHL(4)), ErrNotTunnel},
		{"IHL beyond the packet", v4.With(packet.IHL(15)), ErrNotTunnel},
		{"later fragment", v4.With(packet.FragmentOffset(64)), ErrNotTunnel},
		{"first fragment", v4.With(packet.MoreFragments()), ErrMalformed},
		{"IP longer than the frame", v4.With(packet.TotalLength(1000)), ErrMalformed},
		{"UDP longer than IP", v4.With(packet.TotalLength(60)), ErrMalformed},
		{"UDP shorter than its header", v4.With(packet.UDPLength(7)), ErrMalformed},
		{"UDP ends in Geneve", v4.With(packet.UDPLength(12)), encap.ErrShort},
		{"multicast source", v4.With(packet.Source(netip.MustParseAddr("224.0.0.1"))), ErrMalformed},
		{"no source", v6.With(packet.Source(netip.IPv6Unspecified())), ErrMalformed},
		{"mapped source", v6.With(packet.Source(packet.Mapped(packet.Host4(1)))), ErrNotTunnel},
		{"IPv6 longer than the frame", v6.With(packet.PayloadLength(1000)), ErrMalformed},
		{"Geneve version", v4.With(packet.GeneveVersion(1)), encap.ErrVersion},
		{"options beyond the packet", v4.With(packet.GeneveLength(63)), encap.ErrShort},
		{"control", v4.With(packet.Control()), ErrNotTunnel},
		{"no Ethernet inside", v4.With(packet.GeneveProtocol(0x800)), ErrNotTunnel},
		{"unknown critical option", v4.With(packet.Option(1, 0x81)), encap.ErrCritical},
		{"return-to-sender twice", v4.With(packet.RTS(packet.Host4(1), 1), packet.RTS(packet.Host4(1), 1)), encap.ErrDoubled},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := holding(t, c.p.Build(t))
			require.ErrorIs(t, f.Decode(new(Tunnel)), c.want)
		})
	}
}

func TestDecodeEveryCut(t *testing.T) {
	for _, p := range []packet.Packet{
		packet.Eth(mac1, mac2).Tunnel(packet.Host4(1), packet.Host4(2), 7, packet.RTS(packet.Host4(9), 3)).Packet(request),
		packet.Eth(mac1, mac2).Tunnel(packet.Host6(1), packet.Host6(2), 7).Packet(request),
	} {
		b := p.Build(t)
		for n := 1; n < len(b); n++ {
			f := holding(t, b[:n])
			require.Error(t, f.Decode(new(Tunnel)), n)
		}
	}
}

// An answer is what the host at the other end expects, whichever frame it is written to.
func TestReply(t *testing.T) {
	for _, c := range []struct {
		name string
		in   packet.Packet
		want packet.Packet
	}{
		{"direct", packet.Eth(mac1, mac2).Tunnel(packet.Host4(1), packet.Host4(2), 7),
			packet.Eth(mac2, mac1).Tunnel(packet.Host4(2), packet.Host4(1), 7)},
		{"with options", packet.Eth(mac1, mac2).Tunnel(packet.Host4(1), packet.Host4(2), 7, packet.Option(1, 2, 3)),
			packet.Eth(mac2, mac1).Tunnel(packet.Host4(2), packet.Host4(1), 7)},
		{"by a bouncer", packet.Eth(mac1, mac2).Tunnel(packet.Host4(1), packet.Host4(2), 7, packet.RTS(packet.Host4(9), 3)),
			packet.Eth(mac2, mac1).Tunnel(packet.Host4(2), packet.Host4(9), 7)},
		{"IPv6", packet.Eth(mac1, mac2).Tunnel(packet.Host6(1), packet.Host6(2), 7),
			packet.Eth(mac2, mac1).Tunnel(packet.Host6(2), packet.Host6(1), 7)},
		{"host of the other family", packet.Eth(mac1, mac2).Tunnel(packet.Host6(1), packet.Host6(2), 7, packet.RTS(packet.Host4(9), 3)),
			packet.Eth(mac2, mac1).Tunnel(packet.Host6(2), packet.Host6(1), 7)},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := holding(t, c.in.Packet(request).Build(t))
			var tunnel Tunnel
			require.NoError(t, f.Decode(&tunnel))
			want := c.want.With(packet.TOS(0xb9), packet.Ports(encap.SourcePort(answer.Build(t)), encap.Port)).Packet(answer).Build(t)
			require.NoError(t, f.Reply(&tunnel, answer.Build(t)))
			requireSame(t, want, f.Bytes())
			require.Equal(t, len(want), f.Len())
		})
	}
}

// The inner frame goes back as it lies in the packet.
func TestReplyInPlace(t *testing.T) {
	f := holding(t, packet.Eth(mac1, mac2).Tunnel(packet.Host4(1), packet.Host4(2), 7).Packet(request).Build(t))
	var tunnel Tunnel
	require.NoError(t, f.Decode(&tunnel))
	copy(tunnel.Inner, net.HardwareAddr{2, 2, 2, 2, 2, 2})
	want := append([]byte(nil), tunnel.Inner...)
	require.NoError(t, f.Reply(&tunnel, tunnel.Inner))
	require.NoError(t, f.Decode(&tunnel))
	require.Equal(t, want, tunnel.Inner)
	require.Equal(t, packet.Host4(2), tunnel.Source)
}

// With options, from addresses of one's own.
func TestEncap(t *testing.T) {
	rts, err := encap.ReturnToSender{Host: packet.Host4(9), Hops: 3}.Option(encap.OptionClass)
	require.NoError(t, err)
	tunnel := Tunnel{
		SourceMAC: [6]byte(mac1), DestinationMAC: [6]byte(mac2),
		Source: packet.Host4(1), Destination: packet.Host4(2),
		Header: encap.Header{VNI: 7, Options: []encap.Option{rts}},
	}
	f := newKernel(t, false).alloc(1)[0]
	f.s.port = encap.Port
	require.NoError(t, f.Encap(&tunnel, request.Build(t)))
	requireSame(t, packet.Eth(mac1, mac2).Tunnel(packet.Host4(1), packet.Host4(2), 7, packet.RTS(packet.Host4(9), 3)).
		With(packet.TOS(0xb9), packet.Ports(encap.SourcePort(request.Build(t)), encap.Port)).Packet(request).Build(t), f.Bytes())

	before := f.AppendTo(nil)
	for _, c := range []struct {
		name   string
		change func(*Tunnel)
		inner  []byte
		want   error
	}{
		{"no source", func(t *Tunnel) { t.Source = netip.Addr{} }, request.Build(t), maps.ErrInvalid},
		{"two families", func(t *Tunnel) { t.Source = packet.Host6(1) }, request.Build(t), maps.ErrInvalid},
		{"mapped", func(t *Tunnel) {
			t.Source, t.Destination = packet.Mapped(t.Source), packet.Mapped(t.Destination)
		}, request.Build(t), maps.ErrInvalid},
		{"short frame", func(*Tunnel) {}, make([]byte, 13), maps.ErrInvalid},
		{"too long for a buffer", func(*Tunnel) {}, make([]byte, 2048), ErrTooBig},
		{"too long for IP", func(*Tunnel) {}, make([]byte, 1<<16), ErrTooBig},
		{"VNI", func(t *Tunnel) { t.Header.VNI = 1 << 24 }, request.Build(t), encap.ErrVNI},
	} {
		t.Run(c.name, func(t *testing.T) {
			bad := tunnel
			c.change(&bad)
			require.ErrorIs(t, f.Encap(&bad, c.inner), c.want)
			require.Equal(t, before, f.AppendTo(nil))
		})
	}
}

func TestTunnelDoesNotAllocate(t *testing.T) {
	in := packet.Eth(mac1, mac2).Tunnel(packet.Host4(1), packet.Host4(2), 7, packet.RTS(packet.Host4(9), 3)).Packet(request).Build(t)
	f := holding(t, in)
	inner := answer.Build(t)
	var tunnel Tunnel
	require.NoError(t, f.Decode(&tunnel))
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if f.Set(in) != nil || f.Decode(&tunnel) != nil || f.Reply(&tunnel, inner) != nil {
			t.Error("failed")
		}
	}))
}

func requireSame(t *testing.T, want, got []byte) {
	t.Helper()
	if d := packet.Diff(want, got); d != "" {
		t.Fatal(d)
	}
}

func FuzzDecode(f *testing.F) {
	for _, p := range []packet.Packet{
		packet.Eth(mac1, mac2).Tunnel(packet.Host4(1), packet.Host4(2), 7, packet.RTS(packet.Host4(9), 3)).Packet(request),
		packet.Eth(mac1, mac2).Tunnel(packet.Host6(1), packet.Host6(2), 7).Packet(request),
	} {
		f.Add(p.Build(f))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var tunnel Tunnel
		if tunnel.decode(b, len(b), encap.Port, encap.OptionClass) != nil {
			return
		}
		require.Equal(t, b[tunnel.Offset:tunnel.Offset+tunnel.Length], tunnel.Inner)
		back := tunnel.Reply()
		head, err := back.headers(nil, tunnel.Inner, encap.Port)
		if err != nil {
			return // of short inner frames, or to no host
		}
		var again Tunnel
		require.NoError(t, again.decode(append(head, tunnel.Inner...), len(head)+tunnel.Length, encap.Port, encap.OptionClass))
		require.Equal(t, tunnel.Inner, again.Inner)
		require.Equal(t, tunnel.Header.VNI, again.Header.VNI)
	})
}

// An answer goes to the agent: a plain frame from the function's MAC to whom it came from.
func TestAnswerByTheAgent(t *testing.T) {
	b := packet.Eth(mac1, mac2).Tunnel(packet.Host4(1), packet.Host4(2), 7).Packet(request).Build(t)
	for _, c := range []struct {
		name string
		ip   []byte
		kind byte // of the EtherType's second byte
	}{
		{"IPv4", answer.Build(t)[14:], 0x00},
		{"IPv6", packet.Eth(mac1, mac2).IPv6(packet.Endpoint6(1), packet.Endpoint6(2)).UDP(1, 2).Payload(9).Build(t)[14:], 0xdd},
	} {
		f := holding(t, b)
		var tunnel Tunnel
		require.NoError(t, f.Decode(&tunnel))
		require.NoError(t, f.Answer(&tunnel, c.ip), c.name)
		want := append(append(append([]byte(nil), mac1...), mac2...), f.Bytes()[12], c.kind)
		require.Equal(t, append(want, c.ip...), f.Bytes(), c.name)
		require.Contains(t, []byte{0x08, 0x86}, f.Bytes()[12])
	}
	f := holding(t, b)
	var tunnel Tunnel
	require.NoError(t, f.Decode(&tunnel))
	for _, bad := range [][]byte{nil, make([]byte, 60), answer.Build(t)[14:33], append([]byte{0x60}, make([]byte, 38)...)} {
		require.ErrorIs(t, f.Answer(&tunnel, bad), maps.ErrInvalid)
		require.Equal(t, b, f.Bytes())
	}
	f.Release()
	require.ErrorIs(t, f.Answer(&tunnel, answer.Build(t)[14:]), ErrFrame)
}
