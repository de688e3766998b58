// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"

	"github.com/mizar-go/mizar/internal/attach"
	"github.com/mizar-go/mizar/maps"
)

// Local lists the endpoints of this host, by the tables, whoever made them. Those that are being made or
// deleted right now are left out; those whose interface is gone, or whose maker was killed half-way, are
// not, see [Endpoint]. Only the first call reads the whole endpoints table: what others write to it after
// that, past the manager, is not seen.
func (m *Manager) Local(ctx context.Context) iter.Seq2[*Endpoint, error] {
	return func(yield func(*Endpoint, error) bool) {
		all, err := m.snapshot(ctx)
		if err != nil {
			yield(nil, fmt.Errorf("list local endpoints: %w", explain(err)))
			return
		}
		for _, e := range all {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func (m *Manager) snapshot(ctx context.Context) ([]*Endpoint, error) {
	var saved []maps.Saved
	for s, err := range m.tables.Restore.All() {
		if err != nil {
			return nil, err
		}
		if ours(s) && !m.worked(s.Name) {
			saved = append(saved, s)
		}
	}
	slices.SortFunc(saved, func(a, b maps.Saved) int { return a.Ifindex - b.Ifindex })
	addrs, functions, err := m.addresses(ctx)
	if err != nil {
		return nil, err
	}
	var all []*Endpoint
	err = m.in(func() error {
		attached, err := m.attached()
		if err != nil {
			return err
		}
		for _, s := range saved {
			e, err := m.describe(s)
			if err != nil {
				return err
			}
			e.Addrs, e.Function = sorted(addrs[s.Ifindex]), functions[s.Ifindex]
			e.Partial = e.VNI == 0 || len(e.Addrs) == 0 || !e.Gone && attached[s.Ifindex] != len(hooks(s.Mode))
			all = append(all, e)
		}
		return nil
	})
	return all, err
}

// attached counts the agent's attachments, by interface.
func (m *Manager) attached() (map[int]int, error) {
	pins, err := attach.List(m.links)
	if err != nil {
		return nil, err
	}
	n := make(map[int]int)
	for _, p := range pins {
		if !p.Gone && (p.Hook == attach.AgentTCX || p.Hook == attach.AgentXDP) {
			n[p.Ifindex]++
		}
	}
	return n, nil
}

// addresses reads which addresses are at which interface, and which of these are functions'.
func (m *Manager) addresses(ctx context.Context) (all map[int][]netip.Addr, functions map[int]bool, err error) {
	local, err := m.settled()
	if err != nil {
		return nil, nil, err
	}
	all, functions = make(map[int][]netip.Addr), make(map[int]bool)
	for key, ifindex := range local {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		row, err := m.tables.Endpoints.Get(key)
		if errors.Is(err, maps.ErrNotFound) || err == nil && row.Ifindex != ifindex {
			continue // it was deleted since, or by others
		}
		if err != nil {
			return nil, nil, err
		}
		all[ifindex] = append(all[ifindex], key.Addr)
		functions[ifindex] = row.Function
	}
	return all, functions, nil
}

// describe says what the tables and the kernel know of an interface.
func (m *Manager) describe(s maps.Saved) (*Endpoint, error) {
	e := &Endpoint{
		Ifindex:       s.Ifindex,
		HostInterface: s.Name,
		Mode:          s.Mode,
		Adopted:       s.Role == maps.RoleAdopted,
	}
	dev, err := device(s)
	if err != nil {
		return nil, err
	}
	e.Gone = dev == nil
	a, err := m.tables.Agents.Get(s.Ifindex)
	if errors.Is(err, maps.ErrNotFound) {
		return e, nil
	}
	if err != nil {
		return nil, err
	}
	e.VNI, e.MAC, e.MTU, e.Allowed, e.Cookie, e.Traffic = a.VNI, a.MAC, a.MTU, a.Allowed, a.Cookie, a.Traffic
	return e, nil
}

func sorted(addrs []netip.Addr) []netip.Addr {
	slices.SortFunc(addrs, netip.Addr.Compare)
	return addrs
}
