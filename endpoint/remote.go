// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"context"
	"fmt"
	"iter"

	"github.com/mizar-go/mizar/maps"
)

// Add says where an endpoint lives: on another host. What was said before is replaced. One of this host
// gives [maps.ErrExists]: Delete it first. Its row's Ifindex has to be zero, else it is [maps.ErrInvalid]. A
// full table is [maps.ErrFull].
func (m *Manager) Add(ctx context.Context, e maps.Endpoint) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := m.remote([]maps.EndpointKey{e.Key()}, func() error {
		if err := elsewhere(e); err != nil {
			return err
		}
		return m.tables.Endpoints.Put(e)
	})
	if err != nil {
		return fmt.Errorf("add endpoint %s of VPC %d: %w", e.Addr, e.VNI, err)
	}
	return nil
}

// AddAll is Add for many, in batches. It checks all before it writes any; should the table get full midway,
// or ctx end, those written stay.
func (m *Manager) AddAll(ctx context.Context, all []maps.Endpoint) error {
	return m.AddAllFunc(ctx, all, func(int) {})
}

// AddAllFunc is AddAll that calls progress every few thousand endpoints, and at the end, with how many are
// written. Nothing else of the data-plane is to be called from there: it may wait for this call.
func (m *Manager) AddAllFunc(ctx context.Context, all []maps.Endpoint, progress func(done int)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	keys := make([]maps.EndpointKey, 0, len(all))
	for _, e := range all {
		if err := elsewhere(e); err != nil {
			return fmt.Errorf("add endpoint %s of VPC %d: %w", e.Addr, e.VNI, err)
		}
		keys = append(keys, e.Key())
	}
	tell := func(done int) error {
		progress(done)
		if done == len(all) {
			return nil
		}
		return ctx.Err()
	}
	if err := m.remote(keys, func() error { return m.tables.Endpoints.PutAllFunc(all, tell) }); err != nil {
		return fmt.Errorf("add %d endpoints: %w", len(all), err)
	}
	return nil
}

// Remove forgets an endpoint that lives on another host. One that is not known gives [maps.ErrNotFound],
// one of this host [maps.ErrExists]: that is Delete's.
func (m *Manager) Remove(ctx context.Context, k maps.EndpointKey) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := m.remote([]maps.EndpointKey{k}, func() error { return m.tables.Endpoints.Delete(k) })
	if err != nil {
		return fmt.Errorf("remove endpoint %s of VPC %d: %w", k.Addr, k.VNI, err)
	}
	return nil
}

// RemoveAll is Remove for many, in batches. One of this host among them, and none is removed. Else all that
// are there are; if one was not, it gives [maps.ErrNotFound].
func (m *Manager) RemoveAll(ctx context.Context, keys []maps.EndpointKey) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := m.remote(keys, func() error { return m.tables.Endpoints.DeleteAll(keys) }); err != nil {
		return fmt.Errorf("remove %d endpoints: %w", len(keys), err)
	}
	return nil
}

// Get reads the row of an endpoint, here or elsewhere. [maps.ErrNotFound]: there is none.
func (m *Manager) Get(ctx context.Context, k maps.EndpointKey) (maps.Endpoint, error) {
	if err := ctx.Err(); err != nil {
		return maps.Endpoint{}, err
	}
	e, err := m.tables.Endpoints.Get(k)
	if err != nil {
		return maps.Endpoint{}, fmt.Errorf("get endpoint %s of VPC %d: %w", k.Addr, k.VNI, err)
	}
	return e, nil
}

// List reads the rows of all endpoints, here and elsewhere, in no order. Rows that come or go meanwhile
// may be missed.
func (m *Manager) List(ctx context.Context) iter.Seq2[maps.Endpoint, error] {
	return func(yield func(maps.Endpoint, error) bool) {
		for e, err := range m.tables.Endpoints.All() {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				yield(maps.Endpoint{}, fmt.Errorf("list endpoints: %w", err))
				return
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

// remote runs write while none of the keys is, or gets to be, an address of this host.
func (m *Manager) remote(keys []maps.EndpointKey, write func() error) error {
	if err := m.load(); err != nil {
		return err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, k := range keys {
		if ifindex, ok := m.local[k]; ok {
			return fmt.Errorf("address %s of VPC %d: %s: %w", k.Addr, k.VNI, whose(ifindex), maps.ErrExists)
		}
	}
	return write()
}

func elsewhere(e maps.Endpoint) error {
	if e.Ifindex != 0 || !e.Host.IsValid() {
		return invalid("host %s, interface %d: not an endpoint of another host", e.Host, e.Ifindex)
	}
	return nil
}
