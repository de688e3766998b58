// SPDX-License-Identifier: Apache-2.0

package host

import (
	"net/netip"

	"github.com/mizar-go/mizar/bpf"
)

// senseless is what no packet may be between; check_addresses in bpf/lib/inner.h.
func senseless(src, dst netip.Addr) (bpf.Reason, bool) {
	several := func(a netip.Addr) bool { return a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) }
	nobody := func(a netip.Addr) bool {
		return a.IsUnspecified() || a.IsLoopback() || a.Is4() && (a.As4()[0] == 0 || a.As4()[0] >= 240)
	}
	switch {
	case several(dst):
		return bpf.TableReasonDROP_MULTICAST, true
	case several(src), nobody(src), nobody(dst):
		return bpf.TableReasonDROP_INNER_ADDRESS, true
	}
	return 0, false
}
