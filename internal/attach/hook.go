// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
)

// Hook is a program's place on an interface, always at ingress.
type Hook uint8

const (
	TransitXDP Hook = iota + 1
	TransitTCX
	AgentXDP
	AgentTCX
)

// hookNames are part of the pins' names and of the filters'.
var hookNames = [...]string{TransitXDP: "transit_xdp", TransitTCX: "transit_tcx", AgentXDP: "agent_xdp", AgentTCX: "agent_tcx"}

// String is the hook's name as in its pin.
func (h Hook) String() string {
	if h.valid() {
		return hookNames[h]
	}
	return fmt.Sprintf("hook(%d)", uint8(h))
}

// XDP tells an XDP hook from a tcx one.
func (h Hook) XDP() bool {
	return h == TransitXDP || h == AgentXDP
}

func (h Hook) valid() bool {
	return h >= TransitXDP && h <= AgentTCX
}

// kind is the type of the programs that the hook takes.
func (h Hook) kind() ebpf.ProgramType {
	if h.XDP() {
		return ebpf.XDP
	}
	return ebpf.SchedCLS
}

// pinName names the pin of a hook. bpffs takes no dots.
func pinName(h Hook, ifindex int) string {
	return fmt.Sprintf("%s-%d", h, ifindex)
}

// parsePinName is the inverse of pinName.
func parsePinName(name string) (h Hook, ifindex int, ok bool) {
	hook, number, found := strings.Cut(name, "-")
	ifindex, err := strconv.Atoi(number)
	if !found || err != nil || ifindex <= 0 {
		return 0, 0, false
	}
	for h := TransitXDP; h.valid(); h++ {
		if hookNames[h] == hook {
			return h, ifindex, pinName(h, ifindex) == name
		}
	}
	return 0, 0, false
}
