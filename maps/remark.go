// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"errors"
	"fmt"

	"github.com/mizar-go/mizar/bpf"
)

// flip names a set by another's id.
type flip struct{ from, to uint32 }

// remark brings the sets' marks in line with the addresses that this host has. A set is never changed
// where programs see it: its twin is written, the rows are flipped, and the old one becomes idle.
func (s *store) remark() (err error) {
	flips := map[uint32]uint32{}
	var back undo
	defer func() { back.unless(&err) }()
	for _, e := range s.sets.marked(s.own) {
		twin, err := s.sets.ensure(e.members, !e.self)
		if errors.Is(err, ErrFull) {
			if err := s.sets.remarkInPlace(e); err != nil {
				return err
			}
			back.add(func() error { return s.sets.remarkInPlace(e) })
			continue
		}
		if err != nil {
			return err
		}
		// Not to be freed before rows name it.
		s.sets.hold(twin.id)
		defer s.sets.release(twin.id)
		flips[e.id] = twin.id
	}
	if len(flips) == 0 {
		return nil
	}
	if err := s.flipVPCs(flips, &back); err != nil {
		return err
	}
	return s.flipNetworks(flips, &back)
}

// marked are the sets in use whose mark is wrong.
func (s *sets) marked(own ownAddrs) (wrong []*set) {
	for _, e := range s.byID {
		if e.refs > 0 && e.self != own.any(e.members) {
			wrong = append(wrong, e)
		}
	}
	return wrong
}

// remarkInPlace is for a table without room for a twin. The value that was there is freed at once, and
// its memory may serve the next: so nothing is written to the table before all who may be reading it
// have ended. One grace period for each set is why this is not the rule.
func (s *sets) remarkInPlace(e *set) error {
	if err := s.table.put(e.id, setToWire(e.members, !e.self)); err != nil {
		return fmt.Errorf("mark set %#x: %w", e.id, err)
	}
	delete(s.byContent, content(e.members, e.self))
	e.self = !e.self
	s.byContent[content(e.members, e.self)] = e
	return bpf.Grace()
}

// move counts a row that was flipped.
func (s *sets) move(f flip) {
	s.hold(f.to)
	s.release(f.from)
}

func (s *store) flipVPCs(flips map[uint32]uint32, back *undo) error {
	var rows []bpf.TableVpc
	err := s.vpcs.each(func(_ uint32, v bpf.TableVpc) error {
		if _, ok := flips[v.Set]; ok {
			rows = append(rows, v)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, v := range rows {
		put := func(f flip) error {
			v.Set = f.to
			if err := s.vpcs.put(v.Vni, v); err != nil {
				return fmt.Errorf("mark set of VPC %d: %w", v.Vni, err)
			}
			s.sets.move(f)
			return nil
		}
		f := flip{v.Set, flips[v.Set]}
		if err := put(f); err != nil {
			return err
		}
		back.add(func() error { return put(flip{f.to, f.from}) })
	}
	return nil
}

func (s *store) flipNetworks(flips map[uint32]uint32, back *undo) error {
	for k, v := range s.networks.rows {
		to, ok := flips[v.Set]
		if !ok {
			continue
		}
		put := func(f flip) error {
			v.Set = f.to
			if err := s.networks.put(k, v); err != nil {
				return fmt.Errorf("mark set of network %v: %w", fromNetworkKey(k), err)
			}
			s.sets.move(f)
			return nil
		}
		f := flip{v.Set, to}
		if err := put(f); err != nil {
			return err
		}
		back.add(func() error { return put(flip{f.to, f.from}) })
	}
	return nil
}
