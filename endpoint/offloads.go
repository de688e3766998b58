// SPDX-License-Identifier: Apache-2.0

package endpoint

import "maps"

// offloads are the features that the workload's end of a veth has to have.
func offloads(mode Mode) map[string]bool {
	want := map[string]bool{
		// Its NAPI: a frame that XDP redirects into a veth without one is lost, silently.
		"rx-gro": true,

		// Segments of a workload's own tunnel, or of SCTP, cannot be put into another tunnel.
		"tx-udp_tnl-segmentation":        false,
		"tx-udp_tnl-csum-segmentation":   false,
		"tx-tunnel-remcsum-segmentation": false,
		"tx-gre-segmentation":            false,
		"tx-gre-csum-segmentation":       false,
		"tx-ipxip4-segmentation":         false,
		"tx-ipxip6-segmentation":         false,
		"tx-sctp-segmentation":           false,
		"tx-gso-list":                    false,
	}
	if mode.XDP() {
		maps.Copy(want, whole())
	}
	return want
}

// whole are the features that who sends to XDP must not have: XDP sees the bytes alone.
func whole() map[string]bool {
	want := make(map[string]bool)
	for _, name := range []string{
		// No checksum that somebody else will complete,
		"tx-checksum-ip-generic",
		"tx-checksum-sctp",
		// no packet that somebody else will cut,
		"tx-tcp-segmentation",
		"tx-tcp6-segmentation",
		"tx-tcp-ecn-segmentation",
		"tx-tcp-mangleid-segmentation",
		"tx-udp-segmentation",
		// and no tag that is not among them: it would be lost.
		"tx-vlan-hw-insert",
		"tx-vlan-stag-hw-insert",
	} {
		want[name] = false
	}
	return want
}
