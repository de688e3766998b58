// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"net"
	"net/netip"
)

// Endpoint is one that lives on this host.
type Endpoint struct {
	VNI           uint32           // of its VPC; 0: not known, see Partial
	Addrs         []netip.Addr     // its addresses, sorted; empty where its rows are missing
	Allowed       []netip.Prefix   // where else it may send from
	Ifindex       int              // of the interface on the host's side
	HostInterface string           // name of that interface
	MAC           net.HardwareAddr // of the workload's side
	MTU           int              // of the workload's side, in bytes
	Mode          Mode             // how its agent is attached, never Auto
	Function      bool             // it gets tunnel packets as they are
	Adopted       bool             // the interface was there before
	Gone          bool             // the interface is there no more: only Delete is left
	Partial       bool             // making or deleting it was cut short, or somebody took the agent off: Delete it
	Cookie        uint64           // the caller's
	Traffic       uint32           // its slot in the traffic table; 0: none
}
