// SPDX-License-Identifier: Apache-2.0

package droplet

import (
	"fmt"

	"github.com/mizar-go/mizar/internal/ethtool"
)

// wanted are the features that have to be on or off for transit to work in a mode. What a device cannot
// change is left out: where it matters, the driver refuses the mode by itself.
func wanted(dev *device, mode Mode) (map[string]bool, error) {
	want := map[string]bool{
		// Tunnel packets merged as plain UDP could not be told from one with a merged packet inside.
		"rx-udp-gro-forwarding": false,
		"rx-gro-list":           false,
	}
	if mode.XDP() {
		// Merged by the device, packets are larger than any buffer, and not what was sent.
		want["rx-lro"] = false
		want["rx-gro-hw"] = false
	}
	if mode.XDP() && dev.kind() == "veth" {
		// What leaves here enters XDP at the other end as it is: it has to have a checksum, and to be one
		// packet. What is redirected here gets lost without NAPI, which comes with GRO.
		for _, f := range []string{
			"tx-checksum-ip-generic", "tx-checksum-sctp",
			"tx-tcp-segmentation", "tx-tcp6-segmentation", "tx-tcp-ecn-segmentation",
			"tx-tcp-mangleid-segmentation", "tx-tcp-accecn-segmentation",
			"tx-udp-segmentation", "tx-sctp-segmentation",
		} {
			want[f] = false
		}
		want["rx-gro"] = true
	}
	have, err := ethtool.Get(dev.Attrs().Name)
	if err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	for f := range want {
		if have[f].Fixed {
			delete(want, f)
		}
	}
	return want, nil
}
