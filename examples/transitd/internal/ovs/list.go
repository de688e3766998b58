// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"cmp"
	"context"
	"fmt"
	"slices"
)

// Ports lists our ports, sorted by name, and how they are: what to compare with what is wanted.
func (c *Client) Ports(ctx context.Context) (all []Status, err error) {
	err = c.through(ctx, func(ctx context.Context) error {
		all, err = c.statuses(ctx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list ports: %w", err)
	}
	return all, nil
}

// Find is the port of ours with that Host; nil: there is none.
func (c *Client) Find(ctx context.Context, host string) (found *Port, err error) {
	err = c.through(ctx, func(ctx context.Context) error {
		var rows []portRow
		if err := c.db.List(ctx, &rows); err != nil {
			return unavailable(err)
		}
		for _, row := range rows {
			if row.ExternalIDs[idInstance] != c.Instance || row.ExternalIDs[idHost] != host {
				continue
			}
			p, err := c.describe(ctx, &row)
			found = &p
			return err
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("find the port of %s: %w", host, err)
	}
	return found, nil
}

// statuses looks at each bridge once.
func (c *Client) statuses(ctx context.Context) ([]Status, error) {
	var rows []portRow
	if err := c.db.List(ctx, &rows); err != nil {
		return nil, unavailable(err)
	}
	var all []Status
	bridges := make(map[string]*seen)
	for _, row := range rows {
		if row.ExternalIDs[idInstance] != c.Instance {
			continue
		}
		p, err := c.describe(ctx, &row)
		if err != nil {
			return nil, err
		}
		at, ok := bridges[p.Bridge]
		if !ok && p.Bridge != "" {
			if at, err = c.see(ctx, p.Bridge); err != nil {
				at = nil
				c.Logger.Debug("a bridge does not tell its flows", "bridge", p.Bridge, "err", err)
			}
			bridges[p.Bridge] = at
		}
		s := Status{Port: p}
		dev := &interfaceRow{Name: row.Name}
		if err := c.db.Get(ctx, dev); err == nil && dev.Error != nil {
			s.Error = *dev.Error
		}
		if at != nil {
			missing, err := c.unwired(ctx, p, at)
			s.Wired = err == nil && !missing
		}
		all = append(all, s)
	}
	if err := ctx.Err(); err != nil {
		return nil, unavailable(err)
	}
	slices.SortFunc(all, func(a, b Status) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}
