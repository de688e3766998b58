// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"errors"

	"github.com/mizar-go/mizar/bpf"
)

// load reads what a writer has to know.
func (s *store) load() (err error) {
	s.slots = newSlots(s.maps.Traffic)
	if err := s.peers.load(); err != nil {
		return naming(err, "read", "peers")
	}
	if err := s.networks.load(); err != nil {
		return naming(err, "read", "networks")
	}
	if s.allow, err = s.allAllowed(); err != nil {
		return naming(err, "read", "allowed prefixes")
	}
	if s.own, err = s.allOwn(); err != nil {
		return naming(err, "read", "own addresses")
	}
	if err := s.loadStages(); err != nil {
		return naming(err, "read", "functions")
	}
	if err := s.sets.load(); err != nil {
		return naming(err, "read", "sets")
	}
	for _, n := range s.networks.rows {
		s.sets.hold(n.Set)
	}
	err = s.vpcs.each(func(_ uint32, v bpf.TableVpc) error {
		s.sets.hold(v.Set)
		return nil
	})
	if err != nil {
		return naming(err, "read", "VPCs")
	}
	err = s.agents.each(func(_ uint32, a bpf.TableAgent) error {
		s.slots.note(a.Traffic)
		return nil
	})
	if err != nil {
		return naming(err, "read", "agents")
	}
	return naming(s.droplets.each(func(_ uint32, d bpf.TableDroplet) error {
		s.slots.note(d.Traffic)
		return nil
	}), "read", "droplets")
}

// mend finishes what a writer did half that was killed: prefixes and addresses whose interface has no row
// (it may get another's index), functions of such
// an endpoint or of nobody, sets that say wrongly whether this host is in, sets that nobody names.
func (s *store) mend() error {
	var done undo // nothing is taken back: a second mend goes on
	for ifindex := range s.allow {
		_, err := s.agents.get(uint32(ifindex))
		if errors.Is(err, ErrNotFound) {
			err = s.allowOnly(ifindex, nil, &done)
		}
		if err != nil {
			return err
		}
	}
	stray := map[uint32]bool{}
	for _, ifindex := range s.own {
		stray[ifindex] = true
	}
	for ifindex := range stray {
		_, err := s.droplets.get(ifindex)
		if errors.Is(err, ErrNotFound) {
			err = s.ownOnly(ifindex, nil, &done)
		}
		if err != nil {
			return err
		}
	}
	if err := s.mendStages(); err != nil {
		return err
	}
	if err := s.remark(); err != nil {
		return err
	}
	return s.sets.flush()
}
