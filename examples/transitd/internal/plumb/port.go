// SPDX-License-Identifier: Apache-2.0

package plumb

import (
	"crypto/sha256"
	"fmt"
)

// Port is how an endpoint is at a bridge: a veth, with one end at the bridge and the other for the library to
// adopt, as the host's side of the endpoint. The workload is whatever else is at the bridge with the endpoint's
// MAC and addresses.
//
// Several endpoints may be at one Linux bridge. To all of them the rest of the VPC is behind one MAC, so the
// bridge learns nothing from their ports, and has no traffic between them. Where the host's firewall looks at
// bridged packets (net.bridge.bridge-nf-call-iptables), it has to let them pass.
type Port struct {
	// HostInterface is the end that the library adopts; the port's key.
	HostInterface string
	// Interface is the end at the bridge. Empty: one is made up. [Plumber.Ports] tells it.
	Interface string
	// Bridge is a Linux bridge, of anybody's making. Empty: OVS says where.
	Bridge string
	// MTU of both ends. Zero: the bridge's, which is best: a smaller one would become that of the bridge. What
	// the VPC leaves to the workload is the endpoint's MTU, which may be smaller.
	MTU int
	// OVS is a bridge of Open vSwitch. Nil: Bridge says where.
	OVS *OVSPort
}

// OVSPort says at which bridge of Open vSwitch, and how; see [ovs.Port].
type OVSPort struct {
	Bridge   string
	Tag      uint16 // the VLAN that it is an access port of; zero: none
	Workload string // the port that it is wired to; empty: the bridge's own flows decide
}

// PortStatus is a port as it is.
type PortStatus struct {
	Port
	// Up: the host's side is, see [Plumber.OpenPort].
	Up bool
	// Whole: nothing of it is missing. What is, [Plumber.AddPort] mends.
	Whole bool
}

// end is the name of the end at the bridge.
func (t Port) end() string {
	if t.Interface != "" {
		return t.Interface
	}
	return fmt.Sprintf("td%x", sha256.Sum256([]byte(t.HostInterface)))[:14]
}

func (t Port) validate() error {
	switch {
	case !interfaceName(t.HostInterface):
		return invalid("host interface %q: no name for one", t.HostInterface)
	case t.Interface != "" && !interfaceName(t.Interface), t.Interface == t.HostInterface:
		return invalid("interface %q: no name for one", t.Interface)
	case (t.Bridge == "") == (t.OVS == nil):
		return invalid("either a Linux bridge or one of Open vSwitch")
	case t.Bridge != "" && !interfaceName(t.Bridge):
		return invalid("bridge %q: no name for one", t.Bridge)
	case t.MTU != 0 && (t.MTU < 68 || t.MTU > maxMTU):
		return invalid("MTU %d: not 68 to %d", t.MTU, maxMTU)
	}
	return nil
}
