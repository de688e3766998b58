// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"iter"

	"github.com/mizar-go/mizar/droplet"
)

// Droplets are the interfaces on the substrate: a [droplet.Manager], and the neighbours on the way to the
// hosts that the tables name.
type Droplets struct {
	dp *Dataplane
	m  *droplet.Manager
}

// Attach makes an interface a droplet: see [droplet.Manager.Attach].
func (d *Droplets) Attach(ctx context.Context, c droplet.Config) (got *droplet.Droplet, err error) {
	err = d.dp.gate.through(ctx, func() error {
		got, err = d.m.Attach(ctx, c)
		return err
	})
	if err == nil {
		d.dp.hosts.again(ctx)
	}
	return got, err
}

// Update gives a droplet other addresses, or another cookie, without a gap: see [droplet.Manager.Update].
func (d *Droplets) Update(ctx context.Context, c droplet.Config) (got *droplet.Droplet, err error) {
	err = d.dp.gate.through(ctx, func() error {
		got, err = d.m.Update(ctx, c)
		return err
	})
	if err == nil {
		d.dp.hosts.again(ctx)
	}
	return got, err
}

// Detach makes a droplet an ordinary interface again: see [droplet.Manager.Detach].
func (d *Droplets) Detach(ctx context.Context, name string) error {
	return d.dp.gate.through(ctx, func() error { return d.m.Detach(ctx, name) })
}

// Get is the droplet of a name. [ErrNotFound]: there is none.
func (d *Droplets) Get(ctx context.Context, name string) (got *droplet.Droplet, err error) {
	err = d.dp.gate.through(ctx, func() error {
		got, err = d.m.Get(ctx, name)
		return err
	})
	return got, err
}

// List iterates over all droplets: see [droplet.Manager.List].
func (d *Droplets) List(ctx context.Context) iter.Seq2[*droplet.Droplet, error] {
	return each(ctx, &d.dp.gate, func() iter.Seq2[*droplet.Droplet, error] { return d.m.List(ctx) })
}
