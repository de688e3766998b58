// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"encoding/binary"
	"net"
	"net/netip"

	"github.com/mizar-go/mizar/bpf"
)

// The tables keep addresses in 16 bytes and network order, IPv4 as ::ffff:a.b.c.d. Here, and nowhere
// else in Go, they and what else has a byte order are made and read.

// mappedBits stand before an IPv4 prefix's own bits.
const mappedBits = 96

// toWire makes the zero Addr zero bytes.
func toWire(a netip.Addr) (w bpf.TableAddress) {
	if a.IsValid() {
		w.Bytes = a.As16()
	}
	return w
}

// fromWire makes zero bytes the zero Addr: no table holds the unspecified address.
func fromWire(w bpf.TableAddress) netip.Addr {
	if w.Bytes == [16]byte{} {
		return netip.Addr{}
	}
	return netip.AddrFrom16(w.Bytes).Unmap()
}

// toWireAll keeps the order.
func toWireAll(addrs []netip.Addr) []bpf.TableAddress {
	out := make([]bpf.TableAddress, len(addrs))
	for i, a := range addrs {
		out[i] = toWire(a)
	}
	return out
}

func fromWireAll(addrs []bpf.TableAddress) []netip.Addr {
	if len(addrs) == 0 {
		return nil
	}
	out := make([]netip.Addr, len(addrs))
	for i, a := range addrs {
		out[i] = fromWire(a)
	}
	return out
}

// prefixToWire is what an LPM key says of a prefix: how many of the 128 bits count, and the bits.
func prefixToWire(p netip.Prefix) (uint32, bpf.TableAddress) {
	bits := p.Bits()
	if p.Addr().Is4() {
		bits += mappedBits
	}
	return uint32(bits), bpf.TableAddress{Bytes: p.Addr().As16()}
}

func prefixFromWire(bits uint32, w bpf.TableAddress) netip.Prefix {
	a := netip.AddrFrom16(w.Bytes)
	if a.Is4In6() && bits >= mappedBits {
		return netip.PrefixFrom(a.Unmap(), int(bits)-mappedBits)
	}
	return netip.PrefixFrom(a, int(bits))
}

// leadBits stand before the prefix where an LPM key begins with a number.
const leadBits = 32

func toNetworkKey(k NetworkKey) bpf.TableNetworkKey {
	bits, addr := prefixToWire(k.Prefix)
	return bpf.TableNetworkKey{Prefixlen: leadBits + bits, Vni: bigEndian(k.VNI), Addr: addr}
}

func fromNetworkKey(k bpf.TableNetworkKey) NetworkKey {
	return NetworkKey{bigEndian(k.Vni), prefixFromWire(k.Prefixlen-leadBits, k.Addr)}
}

func toPeerKey(p netip.Prefix) bpf.TablePeerKey {
	bits, addr := prefixToWire(p)
	return bpf.TablePeerKey{Prefixlen: bits, Addr: addr}
}

func fromPeerKey(k bpf.TablePeerKey) netip.Prefix {
	return prefixFromWire(k.Prefixlen, k.Addr)
}

func toAllowedKey(ifindex int, p netip.Prefix) bpf.TableAllowedKey {
	bits, addr := prefixToWire(p)
	return bpf.TableAllowedKey{Prefixlen: leadBits + bits, Ifindex: bigEndian(uint32(ifindex)), Addr: addr}
}

func fromAllowedKey(k bpf.TableAllowedKey) (ifindex int, p netip.Prefix) {
	return int(bigEndian(k.Ifindex)), prefixFromWire(k.Prefixlen-leadBits, k.Addr)
}

func toEndpointKey(k EndpointKey) bpf.TableEndpointKey {
	return bpf.TableEndpointKey{Vni: k.VNI, Addr: toWire(k.Addr)}
}

func fromEndpointKey(k bpf.TableEndpointKey) EndpointKey {
	return EndpointKey{k.Vni, fromWire(k.Addr)}
}

// bigEndian turns a number in host order to one that is big-endian in memory, and back.
func bigEndian(v uint32) uint32 {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], v)
	return binary.NativeEndian.Uint32(b[:])
}

func macToWire(mac net.HardwareAddr) (w [6]uint8) {
	copy(w[:], mac)
	return w
}

// macFromWire makes zero bytes nil.
func macFromWire(w [6]uint8) net.HardwareAddr {
	if w == [6]uint8{} {
		return nil
	}
	return net.HardwareAddr(w[:])
}
