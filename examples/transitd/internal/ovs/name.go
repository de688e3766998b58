// SPDX-License-Identifier: Apache-2.0

package ovs

import "regexp"

// What becomes part of a path and of arguments: no option, no path, no pattern.
var (
	deviceName   = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}$`)
	instanceName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)
)

// maxTag is the highest VLAN; 4095 is reserved.
const maxTag = 4094

func validate(p Port) error {
	switch {
	case !deviceName.MatchString(p.Bridge):
		return invalid("bridge %q: no name for one", p.Bridge)
	case !deviceName.MatchString(p.Name):
		return invalid("port %q: no name for one", p.Name)
	case p.Workload != "" && !deviceName.MatchString(p.Workload):
		return invalid("workload's port %q: no name for one", p.Workload)
	case p.Host != "" && !deviceName.MatchString(p.Host):
		return invalid("host interface %q: no name for one", p.Host)
	case p.Name == p.Bridge, p.Workload == p.Bridge:
		return invalid("port %q: it is the bridge's own", p.Bridge)
	case p.Name == p.Workload:
		return invalid("port %q: it cannot be wired to itself", p.Name)
	case p.Tag > maxTag:
		return invalid("VLAN %d: not 1 to %d", p.Tag, maxTag)
	}
	return nil
}
