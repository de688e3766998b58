// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"encoding/binary"
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/bpf"
)

func TestAddressOnTheWire(t *testing.T) {
	for _, c := range []struct {
		addr netip.Addr
		wire [16]byte
	}{
		{netip.Addr{}, [16]byte{}},
		{addr("192.0.2.1"), [16]byte{10: 0xff, 11: 0xff, 12: 192, 13: 0, 14: 2, 15: 1}},
		{addr("2001:db8::1"), [16]byte{0: 0x20, 1: 0x01, 2: 0x0d, 3: 0xb8, 15: 1}},
	} {
		require.Equal(t, bpf.TableAddress{Bytes: c.wire}, toWire(c.addr), "%v", c.addr)
		require.Equal(t, c.addr, fromWire(toWire(c.addr)))
	}
	require.Nil(t, fromWireAll(nil))
	require.Equal(t, hosts4, fromWireAll(toWireAll(hosts4)))
}

func TestPrefixOnTheWire(t *testing.T) {
	for _, c := range []struct {
		prefix string
		bits   uint32
		wire   [16]byte
	}{
		{"0.0.0.0/0", 96, [16]byte{10: 0xff, 11: 0xff}},
		{"10.1.0.0/16", 112, [16]byte{10: 0xff, 11: 0xff, 12: 10, 13: 1}},
		{"10.1.2.3/32", 128, [16]byte{10: 0xff, 11: 0xff, 12: 10, 13: 1, 14: 2, 15: 3}},
		{"::/0", 0, [16]byte{}},
		{"::/80", 80, [16]byte{}},
		{"2001:db8::/32", 32, [16]byte{0: 0x20, 1: 0x01, 2: 0x0d, 3: 0xb8}},
		{"2001:db8::1/128", 128, [16]byte{0: 0x20, 1: 0x01, 2: 0x0d, 3: 0xb8, 15: 1}},
	} {
		p := prefix(c.prefix)
		require.NoError(t, checkPrefix(p))
		bits, wire := prefixToWire(p)
		require.Equal(t, c.bits, bits, "%v", p)
		require.Equal(t, c.wire, wire.Bytes, "%v", p)
		require.Equal(t, p, prefixFromWire(bits, wire))
		require.Equal(t, p, fromPeerKey(toPeerKey(p)))
		require.Equal(t, NetworkKey{1 << 20, p}, fromNetworkKey(toNetworkKey(NetworkKey{1 << 20, p})))
		ifindex, q := fromAllowedKey(toAllowedKey(1<<20, p))
		require.Equal(t, 1<<20, ifindex)
		require.Equal(t, p, q)
	}
}

// A trie matches bit by bit from the front: what comes before the prefix has to be big-endian, or VNIs
// would share bits, and has to count in full.
func TestPrefixKeysBeginBigEndian(t *testing.T) {
	k := toNetworkKey(NetworkKey{0x010203, prefix("10.0.0.0/8")})
	require.Equal(t, uint32(32+96+8), k.Prefixlen)
	b, err := binary.Append(nil, binary.NativeEndian, k)
	require.NoError(t, err)
	require.Equal(t, []byte{0, 1, 2, 3}, b[4:8])

	a := toAllowedKey(0x010203, prefix("2001:db8::/32"))
	require.Equal(t, uint32(32+32), a.Prefixlen)
	b, err = binary.Append(nil, binary.NativeEndian, a)
	require.NoError(t, err)
	require.Equal(t, []byte{0, 1, 2, 3}, b[4:8])
}

func TestMACOnTheWire(t *testing.T) {
	require.Equal(t, [6]uint8{2, 0, 0, 0, 0, 1}, macToWire(mac))
	require.Equal(t, mac, macFromWire(macToWire(mac)))
	require.Equal(t, [6]uint8{}, macToWire(nil))
	require.Equal(t, net.HardwareAddr(nil), macFromWire([6]uint8{}))
}

func FuzzAddressOnTheWire(f *testing.F) {
	f.Add([]byte{192, 0, 2, 1}, uint8(24))
	f.Add([]byte{0: 0x20, 15: 1}, uint8(64))
	f.Add([]byte{10: 0xff, 11: 0xff, 15: 1}, uint8(96))
	f.Fuzz(func(t *testing.T, raw []byte, bits uint8) {
		a, ok := netip.AddrFromSlice(raw)
		if !ok {
			return
		}
		if checkAddr("address", a) == nil {
			require.Equal(t, a, fromWire(toWire(a)))
		}
		p, err := a.Prefix(int(bits))
		if err == nil && checkPrefix(p) == nil {
			require.Equal(t, p, fromPeerKey(toPeerKey(p)))
		}
	})
}
