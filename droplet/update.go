// SPDX-License-Identifier: Apache-2.0

package droplet

import (
	"context"
	"fmt"

	"github.com/mizar-go/mizar/maps"
)

// Update gives a droplet the addresses and the cookie of a config in one write, between two packets; and the MAC and
// MTU, in bytes, that its interface has by now, of which nothing else tells the data-plane. It stays attached as it is:
// a config with another mode than that, and than Auto, is [maps.ErrInvalid], and so is a droplet of which something is
// gone or missing. Detach and attach those anew. [maps.ErrNotFound]: it is no droplet. Otherwise it gives [ErrMTU],
// [ErrNoAddress] and [maps.ErrExists] as Attach does. Where it fails, nothing has changed.
func (m *Manager) Update(ctx context.Context, c Config) (d *Droplet, err error) {
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("update droplet %s: %w", c.Interface, err)
	}
	err = m.do(ctx, func() error {
		d, err = m.update(&c)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("update droplet %s: %w", c.Interface, err)
	}
	return d, nil
}

func (m *Manager) update(c *Config) (*Droplet, error) {
	t, err := m.find(c.Interface)
	if err != nil {
		return nil, err
	}
	switch {
	case t.gone() || t.partial():
		return nil, fmt.Errorf("not all of it is there: %w", maps.ErrInvalid)
	case c.Mode != Auto && c.Mode != t.saved.Mode:
		return nil, fmt.Errorf("it is attached by %s, not by %s: %w", t.saved.Mode, c.Mode, maps.ErrInvalid)
	}
	addrs, err := fitting(t.dev, c)
	if err != nil {
		return nil, err
	}
	row := rowOf(t.dev, addrs, c)
	row.XDP = t.row.XDP
	if err := m.tables.Droplets.Put(row); err != nil {
		return nil, err
	}
	if row, err = m.tables.Droplets.Get(row.Ifindex); err != nil {
		return nil, err
	}
	d := describe(row)
	d.Interface, d.Mode = c.Interface, t.saved.Mode
	return d, nil
}
