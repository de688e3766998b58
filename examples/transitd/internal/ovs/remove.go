// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"context"
	"fmt"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"

	"github.com/mizar-go/mizar/dataplane"
)

// Remove removes a port that we made, and its flows. One that is not there, or not ours, is
// [dataplane.ErrNotFound]. When it returns, ovs-vswitchd has let go of the interface, or is not there.
func (c *Client) Remove(ctx context.Context, name string) error {
	err := c.through(ctx, func(ctx context.Context) error {
		if !deviceName.MatchString(name) {
			return invalid("no name for one")
		}
		return c.removeAll(ctx, name)
	})
	if err != nil {
		return fmt.Errorf("remove port %s: %w", name, err)
	}
	return nil
}

func (c *Client) removeAll(ctx context.Context, name string) error {
	row, err := c.port(ctx, name)
	if err != nil {
		return err
	}
	if row != nil && row.ExternalIDs[idInstance] != c.Instance {
		return fmt.Errorf("made by somebody else: %w", dataplane.ErrNotFound)
	}
	if row == nil {
		return c.sweep(ctx, name)
	}
	bridge, err := c.bridgeOf(ctx, row)
	if err != nil {
		return err
	}
	if bridge != nil {
		if err := c.unwire(ctx, bridge.Name, row); err != nil {
			return err
		}
	}
	config, err := c.remove(ctx, name)
	if err != nil {
		return err
	}
	if bridge == nil {
		return nil
	}
	if err := c.taken(ctx, config, bridge.Name); err != nil {
		c.Logger.Warn("ovs-vswitchd has not let go of a port that was removed", "port", name, "err", err)
	}
	return nil
}

// sweep removes the flows of a port whose row others have removed.
func (c *Client) sweep(ctx context.Context, name string) error {
	bridges, err := c.bridges(ctx)
	if err != nil {
		return err
	}
	found := false
	for _, b := range bridges {
		flows, err := c.flows(ctx, b.Name)
		if err != nil || len(flows[c.cookie(name)]) == 0 {
			continue // of a bridge that is not up
		}
		found = true
		if err := c.deleteFlows(ctx, b.Name, c.cookie(name)); err != nil {
			return err
		}
	}
	if !found {
		return dataplane.ErrNotFound
	}
	return nil
}

// remove takes the rows of a port away, as they are now.
func (c *Client) remove(ctx context.Context, name string) (config int, err error) {
	row, err := c.port(ctx, name)
	if err != nil || row == nil {
		return 0, err
	}
	bridge, err := c.bridgeOf(ctx, row)
	if err != nil || bridge == nil {
		return 0, err // without a bridge OVSDB forgets it
	}
	ops, err := c.members(bridge, ovsdb.MutateOperationDelete, row.UUID)
	if err != nil {
		return 0, err
	}
	return c.commit(ctx, ops...)
}
