// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"net"
	"net/netip"
)

// Host4 is 192.0.2.n: a host of the underlay.
func Host4(n byte) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, n}) }

// Endpoint4 is 198.51.100.n: an endpoint.
func Endpoint4(n byte) netip.Addr { return netip.AddrFrom4([4]byte{198, 51, 100, n}) }

// Other4 is 203.0.113.n: an endpoint of another network, or a stranger.
func Other4(n byte) netip.Addr { return netip.AddrFrom4([4]byte{203, 0, 113, n}) }

// Host6 is 2001:db8:0:1::n: a host of the underlay.
func Host6(n byte) netip.Addr { return documentation6(1, n) }

// Endpoint6 is 2001:db8:0:2::n: an endpoint.
func Endpoint6(n byte) netip.Addr { return documentation6(2, n) }

// Other6 is 2001:db8:0:3::n: an endpoint of another network, or a stranger.
func Other6(n byte) netip.Addr { return documentation6(3, n) }

func documentation6(subnet, n byte) netip.Addr {
	return netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 7: subnet, 15: n})
}

// Mapped is an IPv4 address as an IPv6 packet can carry it: ::ffff:a.b.c.d.
func Mapped(a netip.Addr) netip.Addr { return netip.AddrFrom16(a.As16()) }

// MAC is 00:00:5e:00:53:n, of the range kept for documentation (RFC 7042).
func MAC(n byte) net.HardwareAddr { return net.HardwareAddr{0x00, 0x00, 0x5e, 0x00, 0x53, n} }

// Broadcast is every station's MAC.
func Broadcast() net.HardwareAddr { return net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff} }

// SolicitedNode is the multicast address at which who has a is asked for its MAC.
func SolicitedNode(a netip.Addr) netip.Addr {
	b := a.As16()
	return netip.AddrFrom16([16]byte{0xff, 0x02, 11: 0x01, 12: 0xff, 13: b[13], 14: b[14], 15: b[15]})
}

// MulticastMAC is the MAC that a multicast address is sent to.
func MulticastMAC(a netip.Addr) net.HardwareAddr {
	b := a.As16()
	if a.Unmap().Is4() {
		return net.HardwareAddr{0x01, 0x00, 0x5e, b[13] & 0x7f, b[14], b[15]}
	}
	return net.HardwareAddr{0x33, 0x33, b[12], b[13], b[14], b[15]}
}
