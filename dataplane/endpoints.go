// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"iter"
	"net/netip"

	"github.com/mizar-go/mizar/endpoint"
	"github.com/mizar-go/mizar/maps"
)

// Endpoints are the workloads, here and elsewhere: an [endpoint.Manager], and the neighbours on the way
// to their hosts.
type Endpoints struct {
	dp *Dataplane
	m  *endpoint.Manager
}

// Create makes an endpoint on this host: see [endpoint.Manager.Create].
func (e *Endpoints) Create(ctx context.Context, c endpoint.Config) (got *endpoint.Endpoint, err error) {
	err = e.dp.gate.through(ctx, func() error {
		got, err = e.m.Create(ctx, c)
		return err
	})
	return got, err
}

// Update changes what of an endpoint can change while it has traffic: see [endpoint.Manager.Update].
func (e *Endpoints) Update(ctx context.Context, hostInterface string, c endpoint.Change) (got *endpoint.Endpoint, err error) {
	err = e.dp.gate.through(ctx, func() error {
		got, err = e.m.Update(ctx, hostInterface, c)
		return err
	})
	return got, err
}

// Delete undoes Create: see [endpoint.Manager.Delete].
func (e *Endpoints) Delete(ctx context.Context, hostInterface string) error {
	return e.dp.gate.through(ctx, func() error { return e.m.Delete(ctx, hostInterface) })
}

// Local iterates over the endpoints on this host: see [endpoint.Manager.Local].
func (e *Endpoints) Local(ctx context.Context) iter.Seq2[*endpoint.Endpoint, error] {
	return each(ctx, &e.dp.gate, func() iter.Seq2[*endpoint.Endpoint, error] { return e.m.Local(ctx) })
}

// Add adds, or replaces, an endpoint that lives elsewhere: see [endpoint.Manager.Add].
func (e *Endpoints) Add(ctx context.Context, row maps.Endpoint) error {
	if err := e.dp.gate.through(ctx, func() error { return e.m.Add(ctx, row) }); err != nil {
		return err
	}
	e.resolve(ctx, row)
	return nil
}

// AddAll is Add for many, much faster than one by one: see [endpoint.Manager.AddAll].
func (e *Endpoints) AddAll(ctx context.Context, rows []maps.Endpoint) error {
	return e.AddAllFunc(ctx, rows, func(int) {})
}

// AddAllFunc is AddAll that tells how far it is: see [endpoint.Manager.AddAllFunc].
func (e *Endpoints) AddAllFunc(ctx context.Context, rows []maps.Endpoint, progress func(done int)) error {
	var known int
	err := e.dp.gate.through(ctx, func() error {
		return e.m.AddAllFunc(ctx, rows, func(done int) {
			known = done
			progress(done)
		})
	})
	if written(err) {
		known = len(rows)
	}
	e.resolve(ctx, rows[:known]...)
	return err
}

// Remove removes an endpoint that lives elsewhere: see [endpoint.Manager.Remove].
func (e *Endpoints) Remove(ctx context.Context, key maps.EndpointKey) error {
	return e.dp.gate.through(ctx, func() error { return e.m.Remove(ctx, key) })
}

// RemoveAll is Remove for many: see [endpoint.Manager.RemoveAll].
func (e *Endpoints) RemoveAll(ctx context.Context, keys []maps.EndpointKey) error {
	return e.dp.gate.through(ctx, func() error { return e.m.RemoveAll(ctx, keys) })
}

// Get is where an address lives, here or elsewhere. [ErrNotFound]: nobody knows.
func (e *Endpoints) Get(ctx context.Context, key maps.EndpointKey) (row maps.Endpoint, err error) {
	err = e.dp.gate.through(ctx, func() error {
		row, err = e.m.Get(ctx, key)
		return err
	})
	return row, err
}

// List iterates over all addresses, here and elsewhere, in no order.
func (e *Endpoints) List(ctx context.Context) iter.Seq2[maps.Endpoint, error] {
	return each(ctx, &e.dp.gate, func() iter.Seq2[maps.Endpoint, error] { return e.m.List(ctx) })
}

// resolve has the kernel keep the neighbours on the way to the hosts.
func (e *Endpoints) resolve(ctx context.Context, rows ...maps.Endpoint) {
	e.dp.hosts.add(ctx, func(yield func(netip.Addr) bool) {
		for _, row := range rows {
			if !yield(row.Host) {
				return
			}
		}
	})
}
