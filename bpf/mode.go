// SPDX-License-Identifier: Apache-2.0

package bpf

import "fmt"

// Mode is how a program is attached to an interface.
type Mode uint8

const (
	Auto    Mode = iota // chosen from the driver and what the kernel has
	Native              // XDP in the driver
	Generic             // XDP in the stack, for any driver
	TCX                 // tcx, or clsact where the kernel has no tcx (before 6.6)
	Offload             // XDP in the device
)

var modeNames = [...]string{"auto", "native", "generic", "tcx", "offload"}

// String is the mode's name in lower case.
func (m Mode) String() string {
	if int(m) < len(modeNames) {
		return modeNames[m]
	}
	return fmt.Sprintf("mode(%d)", uint8(m))
}

// XDP tells whether programs see packets before the kernel has made an skb of them, or as if.
func (m Mode) XDP() bool {
	return m == Native || m == Generic || m == Offload
}
