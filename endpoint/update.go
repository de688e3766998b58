// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/mizar-go/mizar/maps"
)

// Change is what of an endpoint can change while it has traffic.
type Change struct {
	// Allowed are all prefixes that it may send from beside its addresses. Nil: none.
	Allowed []netip.Prefix
	Cookie  uint64 // the caller's
}

// Update changes an endpoint of this host, by the name of its interface, between two packets: nothing of the interface
// changes, and no packet is lost. One that is not known gives [maps.ErrNotFound]; prefixes that make no sense, and an
// endpoint of which something is gone or missing, [maps.ErrInvalid]; a full table [maps.ErrFull]. Where it fails,
// nothing has changed.
func (m *Manager) Update(ctx context.Context, hostInterface string, c Change) (*Endpoint, error) {
	unlock, err := m.lock(ctx, hostInterface)
	if err != nil {
		return nil, fmt.Errorf("update endpoint at %s: %w", hostInterface, explain(err))
	}
	defer unlock()
	var e *Endpoint
	if err = ctx.Err(); err == nil {
		e, err = m.update(hostInterface, c)
	}
	if err != nil {
		return nil, fmt.Errorf("update endpoint at %s: %w", hostInterface, explain(err))
	}
	return e, nil
}

func (m *Manager) update(name string, c Change) (e *Endpoint, err error) {
	if err := validateAllowed(c.Allowed); err != nil {
		return nil, err
	}
	s, err := m.find(name)
	if err != nil {
		return nil, err
	}
	rows, err := m.rowsAt(s.Ifindex)
	if err != nil {
		return nil, err
	}
	if e, err = m.whole(s); err != nil {
		return nil, err
	}
	if e == nil || len(rows) == 0 {
		return nil, invalid("not all of it is there")
	}
	old, err := m.tables.Agents.Get(s.Ifindex)
	if err != nil {
		return nil, err
	}
	if err := m.change(old, rows, c); err != nil {
		return nil, err
	}
	for _, r := range rows {
		e.Addrs, e.Function = append(e.Addrs, r.Addr), r.Function
	}
	e.Addrs, e.Allowed, e.Cookie = sorted(e.Addrs), slices.Clone(c.Allowed), c.Cookie
	return e, nil
}

// change writes the rows, all or none.
func (m *Manager) change(agent maps.Agent, rows []maps.Endpoint, c Change) (err error) {
	var back undo
	defer func() {
		if err != nil {
			err = errors.Join(err, back.run())
		}
	}()
	if err := m.fault("agent"); err != nil {
		return err
	}
	changed := agent
	changed.Allowed, changed.Cookie = c.Allowed, c.Cookie
	if err := m.tables.Agents.Put(changed); err != nil {
		return err
	}
	back.push(func() error { return m.tables.Agents.Put(agent) })
	if err := m.fault("rows"); err != nil {
		return err
	}
	cookies := slices.Clone(rows)
	for i := range cookies {
		cookies[i].Cookie = c.Cookie
	}
	back.push(func() error { return m.tables.Endpoints.PutAll(rows) }) // also of some of them
	if err := m.tables.Endpoints.PutAll(cookies); err != nil {
		return err
	}
	return m.fault("done")
}

// rowsAt are the rows of an interface's addresses.
func (m *Manager) rowsAt(ifindex int) ([]maps.Endpoint, error) {
	keys, err := m.at(ifindex)
	if err != nil {
		return nil, err
	}
	rows := make([]maps.Endpoint, len(keys))
	for i, k := range keys {
		if rows[i], err = m.tables.Endpoints.Get(k); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// whole describes an endpoint that lacks nothing, its addresses aside; nil: it does.
func (m *Manager) whole(s maps.Saved) (e *Endpoint, err error) {
	err = m.in(func() error {
		attached, err := m.attached()
		if err != nil {
			return err
		}
		if e, err = m.describe(s); err != nil {
			return err
		}
		if e.Gone || e.VNI == 0 || attached[s.Ifindex] != len(hooks(s.Mode)) {
			e = nil
		}
		return nil
	})
	return e, err
}
