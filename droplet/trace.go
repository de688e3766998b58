// SPDX-License-Identifier: Apache-2.0

package droplet

import (
	"errors"
	"fmt"
	stdmaps "maps"
	"slices"

	"github.com/mizar-go/mizar/internal/attach"
	"github.com/mizar-go/mizar/maps"
)

// trace is all there is of one droplet. Each part may be missing.
type trace struct {
	ifindex int
	row     *maps.Droplet
	saved   *maps.Saved
	pins    []attach.Pinned
	dev     *device // nil: no interface has the number
}

// traces gathers what there is of all droplets, by ifindex.
func (m *Manager) traces() ([]*trace, error) {
	all := make(map[int]*trace)
	at := func(ifindex int) *trace {
		if all[ifindex] == nil {
			all[ifindex] = &trace{ifindex: ifindex}
		}
		return all[ifindex]
	}
	for row, err := range m.tables.Droplets.All() {
		if err != nil {
			return nil, err
		}
		at(row.Ifindex).row = &row
	}
	for saved, err := range m.tables.Restore.All() {
		if err != nil {
			return nil, err
		}
		if saved.Role == maps.RoleDroplet {
			at(saved.Ifindex).saved = &saved
		}
	}
	pins, err := attach.List(m.links)
	if err != nil {
		return nil, err
	}
	for _, p := range pins {
		if p.Hook == attach.TransitXDP || p.Hook == attach.TransitTCX {
			t := at(p.Ifindex)
			t.pins = append(t.pins, p)
		}
	}
	sorted := slices.SortedFunc(stdmaps.Values(all), func(a, b *trace) int { return a.ifindex - b.ifindex })
	for _, t := range sorted {
		t.dev, err = deviceByIndex(t.ifindex)
		if err != nil && !errors.Is(err, ErrNoInterface) {
			return nil, err
		}
	}
	return sorted, nil
}

// find is what there is of the droplet of a name.
func (m *Manager) find(name string) (*trace, error) {
	all, err := m.traces()
	if err != nil {
		return nil, err
	}
	var found *trace
	for _, t := range all {
		// One that is there comes before one that had the name.
		if t.name() == name && (found == nil || found.gone()) {
			found = t
		}
	}
	if found == nil {
		return nil, maps.ErrNotFound
	}
	return found, nil
}

// gone tells whether the interface is no more. Its number may be another's by now: a link that works is
// proof that it is not, without one the record has to do.
func (t *trace) gone() bool {
	if t.dev == nil {
		return true
	}
	for _, p := range t.pins {
		if !p.Gone {
			return false
		}
	}
	return t.saved == nil || t.saved.Device != t.dev.identity()
}

// partial tells whether something is missing.
func (t *trace) partial() bool {
	if t.row == nil || t.saved == nil {
		return true
	}
	need := 1
	if t.saved.Mode.XDP() {
		need = 2
	}
	for _, p := range t.pins {
		if !p.Gone {
			need--
		}
	}
	return need != 0
}

// name is the interface's; if it is gone, the one it had.
func (t *trace) name() string {
	switch {
	case !t.gone():
		return t.dev.Attrs().Name
	case t.saved != nil:
		return t.saved.Name
	}
	return fmt.Sprintf("#%d", t.ifindex)
}

// savedOr is the record; if there is none, one that says nothing.
func (t *trace) savedOr() maps.Saved {
	if t.saved != nil {
		return *t.saved
	}
	return maps.Saved{Ifindex: t.ifindex}
}
