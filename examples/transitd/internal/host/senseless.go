// SPDX-License-Identifier: Apache-2.0

package host

import (
	"net/netip"

	"github.com/mizar-go/mizar/bpf"
)

// senseless is what no packet may be between; check_addresses in bpf/lib/inner.h.
func senseless(src, dst netip.Addr) (bpf.Reason, bool) {
	switch {
	case several(dst):
		return bpf.TableReasonDROP_MULTICAST, true
	case several(src), nobody(src), nobody(dst):
		return bpf.TableReasonDROP_INNER_ADDRESS, true
	}
	return 0, false
}

// several have the address; address_is_multicast in bpf/lib/address.h.
func several(a netip.Addr) bool {
	return a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// nobody has the address; address_is_bad there.
func nobody(a netip.Addr) bool {
	return a.IsUnspecified() || a.IsLoopback() || a.Is4() && (a.As4()[0] == 0 || a.As4()[0] >= 240)
}
