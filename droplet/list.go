// SPDX-License-Identifier: Apache-2.0

package droplet

import (
	"context"
	"fmt"
	"iter"

	"github.com/mizar-go/mizar/maps"
)

// Get is the droplet of a name. One whose interface is gone goes by the name it had.
// [maps.ErrNotFound]: there is none.
func (m *Manager) Get(ctx context.Context, name string) (d *Droplet, err error) {
	err = m.do(ctx, func() error {
		t, err := m.find(name)
		if err == nil {
			d = t.droplet()
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("get droplet %s: %w", name, err)
	}
	return d, nil
}

// List are all droplets as they were when the iteration began, by ifindex, also those whose interface is
// gone, and what was left of those whose attaching or detaching was cut short.
func (m *Manager) List(ctx context.Context) iter.Seq2[*Droplet, error] {
	return func(yield func(*Droplet, error) bool) {
		var all []*trace
		err := m.do(ctx, func() (err error) {
			all, err = m.traces()
			return err
		})
		if err != nil {
			yield(nil, fmt.Errorf("list droplets: %w", err))
			return
		}
		for _, t := range all {
			if !yield(t.droplet(), nil) {
				return
			}
		}
	}
}

func (t *trace) droplet() *Droplet {
	d := &Droplet{Ifindex: t.ifindex}
	if t.row != nil {
		d = describe(*t.row)
	}
	d.Interface, d.Mode = t.name(), t.savedOr().Mode
	d.Gone = t.gone()
	d.Partial = !d.Gone && t.partial()
	return d
}

func describe(row maps.Droplet) *Droplet {
	return &Droplet{
		Ifindex: row.Ifindex, Addrs: row.Addrs, MAC: row.MAC, MTU: row.MTU, Cookie: row.Cookie, Traffic: row.Traffic,
	}
}
