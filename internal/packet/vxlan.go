// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"encoding/binary"
	"fmt"
)

// vxlan is what a workload may speak inside.
type vxlan struct {
	vni uint32
}

// VXLAN is a VXLAN header.
func (p Packet) VXLAN(vni uint32) Packet { return p.add(&vxlan{vni}) }

func (h *vxlan) clone() layer { c := *h; return &c }

func (h *vxlan) encode(_ place, inside []byte) ([]byte, error) {
	if h.vni > 0xffffff {
		return nil, fmt.Errorf("vxlan: VNI %d", h.vni)
	}
	b := []byte{0x08, 0, 0, 0}
	b = binary.BigEndian.AppendUint32(b, h.vni<<8)
	return append(b, inside...), nil
}
