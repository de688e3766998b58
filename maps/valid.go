// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"fmt"
	"math"
	"net"
	"net/netip"
)

const (
	maxVNI = 1<<24 - 1
	// minMTU is IPv4's.
	minMTU = 68
)

// invalid says what is wrong with which part of a row.
func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

func checkVNI(vni uint32) error {
	if vni == 0 || vni > maxVNI {
		return invalid("VNI %d is not from 1 to %d", vni, maxVNI)
	}
	return nil
}

func checkIfindex(ifindex int) error {
	if ifindex <= 0 || ifindex > math.MaxInt32 {
		return invalid("%d is no interface index", ifindex)
	}
	return nil
}

func checkMTU(mtu int) error {
	if mtu < minMTU || mtu > math.MaxUint16 {
		return invalid("MTU %d is not from %d to %d", mtu, minMTU, math.MaxUint16)
	}
	return nil
}

// checkMAC takes any address of Ethernet that a station may have.
func checkMAC(mac net.HardwareAddr) error {
	if len(mac) != 6 {
		return invalid("MAC %q is not of 6 bytes", mac)
	}
	if mac[0]&1 != 0 || [6]byte(mac) == [6]byte{} {
		return invalid("MAC %v is no station's", mac)
	}
	return nil
}

// checkMACOrNone takes no address, too.
func checkMACOrNone(mac net.HardwareAddr) error {
	if len(mac) == 0 {
		return nil
	}
	return checkMAC(mac)
}

// checkAddr takes an address that one host or workload can have, and packets can carry.
func checkAddr(what string, a netip.Addr) error {
	switch {
	case !a.IsValid():
		return invalid("no %s", what)
	case a.Zone() != "":
		return invalid("%s %v has a zone", what, a)
	case a.Is4In6():
		return invalid("%s %v is an IPv4 address in IPv6's form", what, a)
	case a.IsUnspecified(), a.IsMulticast(), a.IsLoopback():
		return invalid("%s %v is nobody's", what, a)
	case a.Is4() && (a.As4()[0] == 0 || a.As4()[0] >= 240):
		return invalid("%s %v is nobody's", what, a)
	}
	return nil
}

// mapped is where IPv4 lies in the 128 bits of a key.
var mapped = netip.AddrFrom16([16]byte{10: 0xff, 11: 0xff})

// checkPrefix takes a masked prefix.
func checkPrefix(p netip.Prefix) error {
	a := p.Addr()
	switch {
	case !p.IsValid():
		return invalid("no prefix")
	case p != p.Masked():
		return invalid("prefix %v is not masked: %v", p, p.Masked())
	case a.Is4In6(), p.Bits() > 80 && p.Contains(mapped):
		return invalid("prefix %v is IPv4 in IPv6's form", p)
	case a.IsMulticast() && (a.Is6() && p.Bits() >= 8 || a.Is4() && p.Bits() >= 4):
		return invalid("prefix %v is multicast", p)
	}
	return nil
}

// coversIPv4 tells whether an IPv6 prefix takes in all of IPv4, which lies in ::ffff:0:0/96: ::/0 does.
func coversIPv4(p netip.Prefix) bool {
	return p.Addr().Is6() && p.Contains(mapped)
}
