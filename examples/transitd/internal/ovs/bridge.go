// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"context"
	"slices"

	"github.com/ovn-kubernetes/libovsdb/model"
	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// Bridge is what there is to know of a bridge.
type Bridge struct {
	Name string
	// Userspace: its datapath is ovs-vswitchd itself. To its packet sockets a packet has to come whole: no
	// checksum and no segmentation that somebody else shall do.
	Userspace bool
}

// Bridge looks a bridge up.
func (c *Client) Bridge(ctx context.Context, name string) (b Bridge, err error) {
	if !deviceName.MatchString(name) {
		return b, invalid("bridge %q: no name for one", name)
	}
	err = c.through(ctx, func(ctx context.Context) error {
		row, err := c.bridge(ctx, name)
		if err == nil {
			b = Bridge{row.Name, row.DatapathType == "netdev"}
		}
		return err
	})
	return b, err
}

// bridgeOf is the bridge that a port is at; nil where it is at none.
func (c *Client) bridgeOf(ctx context.Context, row *portRow) (*bridgeRow, error) {
	bridges, err := c.bridges(ctx)
	if err != nil {
		return nil, err
	}
	for i := range bridges {
		if slices.Contains(bridges[i].Ports, row.UUID) {
			return &bridges[i], nil
		}
	}
	return nil, nil
}

// members puts a port among those of a bridge, or takes it from there.
func (c *Client) members(bridge *bridgeRow, mutator ovsdb.Mutator, port string) ([]ovsdb.Operation, error) {
	return c.db.Where(bridge).Mutate(bridge, model.Mutation{
		Field: &bridge.Ports, Mutator: mutator, Value: []string{port},
	})
}
