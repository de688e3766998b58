// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ovn-kubernetes/libovsdb/ovsdb"
)

// Add makes a port of a bridge, and wires it; or it changes the one of that name in as few steps as it takes,
// all of them or none. It waits until ovs-vswitchd has it. Where there was nothing to do, changed is false.
// Bridge and Workload have to be there ([dataplane.ErrNotFound]); a port that others made is [ErrNotOurs].
func (c *Client) Add(ctx context.Context, p Port) (changed bool, err error) {
	return c.add(ctx, p, false)
}

// Check tells whether [Client.Add] would change anything, or fail for what is there. It changes nothing.
func (c *Client) Check(ctx context.Context, p Port) (changes bool, err error) {
	return c.add(ctx, p, true)
}

func (c *Client) add(ctx context.Context, p Port, dry bool) (changed bool, err error) {
	if err := validate(p); err != nil {
		return false, fmt.Errorf("add port to bridge %s: %w", p.Bridge, err)
	}
	err = c.through(ctx, func(ctx context.Context) (err error) {
		var u undo
		defer func() {
			if err != nil {
				err = errors.Join(err, u.run(ctx))
			}
		}()
		row, err := c.planRow(ctx, p)
		if err != nil {
			return err
		}
		if row != nil { // else the flows tell
			if err := c.alive(ctx, p.Bridge); err != nil {
				return err
			}
		}
		if dry {
			if changed = row != nil; changed {
				return nil
			}
			at, err := c.see(ctx, p.Bridge)
			if err != nil {
				return err
			}
			changed, err = c.unwired(ctx, p, at)
			return err
		}
		if row != nil {
			changed = true
			if err := row(&u); err != nil {
				return err
			}
		}
		wired, err := c.wire(ctx, &u, p)
		changed = changed || wired
		return err
	})
	if err != nil {
		return false, fmt.Errorf("add port %s to bridge %s: %w", p.Name, p.Bridge, err)
	}
	return changed, nil
}

// planRow is what makes the database right; nil where it is.
func (c *Client) planRow(ctx context.Context, p Port) (func(*undo) error, error) {
	bridge, err := c.bridge(ctx, p.Bridge)
	if err != nil {
		return nil, err
	}
	if err := c.checkWorkload(ctx, bridge, p); err != nil {
		return nil, err
	}
	row, err := c.port(ctx, p.Name)
	if err != nil {
		return nil, err
	}
	if row == nil {
		return func(u *undo) error { return c.insert(ctx, u, bridge, p) }, nil
	}
	if row.ExternalIDs[idInstance] != c.Instance {
		return nil, fmt.Errorf("port %s: %w", p.Name, ErrNotOurs)
	}
	want := *row
	want.Tag, want.ExternalIDs = tag(p.Tag), c.ids(p, row.ExternalIDs)
	from, err := c.bridgeOf(ctx, row)
	if err != nil {
		return nil, err
	}
	if from != nil && from.UUID == bridge.UUID && same(row, &want) {
		return nil, nil
	}
	return func(u *undo) error {
		if from != nil && from.UUID != bridge.UUID {
			if err := c.leave(ctx, u, from, row); err != nil {
				return err
			}
			want.ExternalIDs = c.ids(p, row.ExternalIDs)
		}
		return c.do(ctx, u, "change", func() error {
			return c.change(ctx, &want, from, bridge)
		}, func(ctx context.Context) error {
			config, err := c.commitChange(ctx, row, bridge, from)
			if err != nil || from == nil || from.UUID == bridge.UUID {
				return err
			}
			return c.taken(ctx, config, from.Name) // it is to be wired there again
		})
	}, nil
}

// leave takes from a bridge what a port that goes to another has there beside its row.
func (c *Client) leave(ctx context.Context, u *undo, from *bridgeRow, row *portRow) error {
	was, err := c.describe(ctx, row)
	if err != nil {
		return err
	}
	return c.do(ctx, u, "leave", func() error {
		return c.unwire(ctx, from.Name, row)
	}, func(ctx context.Context) error {
		var u undo
		_, err := c.wire(ctx, &u, was)
		return err
	})
}

// checkWorkload sees whether the two ports can be wired.
func (c *Client) checkWorkload(ctx context.Context, bridge *bridgeRow, p Port) error {
	if p.Workload == "" {
		return nil
	}
	w, err := c.port(ctx, p.Workload)
	if err != nil {
		return err
	}
	if w == nil || !slices.Contains(bridge.Ports, w.UUID) {
		return notFound("workload's port %s", p.Workload)
	}
	if w.Tag != nil && *w.Tag != int(p.Tag) {
		return invalid("workload's port %s is in VLAN %d", p.Workload, *w.Tag)
	}
	return nil
}

// insert makes the rows of a port, and waits until ovs-vswitchd has it.
func (c *Client) insert(ctx context.Context, u *undo, bridge *bridgeRow, p Port) error {
	dev := &interfaceRow{UUID: "new_interface", Name: p.Name}
	port := &portRow{
		UUID: "new_port", Name: p.Name, Interfaces: []string{dev.UUID}, Tag: tag(p.Tag), ExternalIDs: c.ids(p, nil),
	}
	return c.do(ctx, u, "insert", func() error {
		first, err := c.db.Create(dev)
		if err != nil {
			return err
		}
		second, err := c.db.Create(port)
		if err != nil {
			return err
		}
		plug, err := c.members(bridge, ovsdb.MutateOperationInsert, port.UUID)
		if err != nil {
			return err
		}
		config, err := c.commit(ctx, slices.Concat(first, second, plug)...)
		if err != nil {
			return err
		}
		return c.settled(ctx, config, p.Bridge, p.Name)
	}, func(ctx context.Context) error {
		_, err := c.remove(ctx, p.Name)
		return err
	})
}

// change has a row be another, at another bridge where the two differ, and waits.
func (c *Client) change(ctx context.Context, want *portRow, from, to *bridgeRow) error {
	config, err := c.commitChange(ctx, want, from, to)
	if err != nil {
		return err
	}
	return c.settled(ctx, config, to.Name, want.Name)
}

func (c *Client) commitChange(ctx context.Context, want *portRow, from, to *bridgeRow) (int, error) {
	ops, err := c.db.Where(want).Update(want, &want.Tag, &want.ExternalIDs)
	if err != nil {
		return 0, err
	}
	move := func(at *bridgeRow, mutator ovsdb.Mutator) {
		if at == nil || err != nil {
			return
		}
		var more []ovsdb.Operation
		more, err = c.members(at, mutator, want.UUID)
		ops = append(ops, more...)
	}
	if from == nil || to == nil || from.UUID != to.UUID {
		move(from, ovsdb.MutateOperationDelete)
		move(to, ovsdb.MutateOperationInsert)
	}
	if err != nil {
		return 0, err
	}
	return c.commit(ctx, ops...)
}

// settled waits for ovs-vswitchd, and has its word on the interface.
func (c *Client) settled(ctx context.Context, config int, bridge, name string) error {
	if err := c.taken(ctx, config, bridge); err != nil {
		return err
	}
	dev := &interfaceRow{Name: name}
	if err := c.db.Get(ctx, dev); err != nil {
		return fmt.Errorf("read interface %s: %w", name, err)
	}
	if dev.Error != nil {
		return fmt.Errorf("interface %s: %w: %s", name, ErrRefused, *dev.Error)
	}
	if dev.Ofport == nil || *dev.Ofport < 1 {
		return fmt.Errorf("interface %s: %w: it got no port number", name, ErrRefused)
	}
	return nil
}
