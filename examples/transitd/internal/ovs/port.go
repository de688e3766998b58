// SPDX-License-Identifier: Apache-2.0

package ovs

import "context"

// Port is a port of a bridge. Its key is its name, which is that of an interface.
type Port struct {
	Bridge string
	Name   string
	// Tag is the VLAN that it is an access port of. Zero: none.
	Tag uint16
	// Workload is another port of the bridge. The two are wired to each other and to nothing else: what
	// one sends the other gets, and other ports' floods reach neither. Where only this one has a Tag, and
	// Workload's port is a trunk, it is wired to that VLAN of it, and the others remain the bridge's; else
	// both have to have the same. Empty: the bridge's own flows decide.
	//
	// What the bridge learned of the workload's MAC before it was wired, it forgets within its ageing time, 300
	// seconds; until then others' frames to that MAC reach the workload.
	//
	// The bridge's own flow, MAC learning, is for one endpoint in a VLAN only: behind all endpoints of this
	// host is one and the same MAC.
	Workload string
	// Host is kept with the port, for its maker: the interface at the other end of its veth.
	Host string
}

// Status is a port of ours, as it is.
type Status struct {
	Port
	Wired bool   // the flows are there, or none are wanted
	Error string // what ovs-vswitchd says that is wrong with the interface
}

// describe is what was asked for when a port was made.
func (c *Client) describe(ctx context.Context, row *portRow) (Port, error) {
	p := Port{Name: row.Name, Workload: row.ExternalIDs[idWorkload], Host: row.ExternalIDs[idHost]}
	if row.Tag != nil {
		p.Tag = uint16(*row.Tag)
	}
	bridge, err := c.bridgeOf(ctx, row)
	if bridge != nil {
		p.Bridge = bridge.Name
	}
	return p, err
}
