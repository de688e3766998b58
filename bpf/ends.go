// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
)

// end is a slot of a prog array that functions come back by, and the program to have there.
type end struct {
	m    *ebpf.Map
	slot TableSlot
	p    *ebpf.Program
}

func (p *Programs) resumes(t *Tables, at TableSlot) []end {
	return []end{
		{t.StagesXDP, at, p.TransitResumeXDP},
		{t.StagesXDP, at + 1, p.AgentResumeXDP},
		{t.StagesTCX, at, p.TransitResumeTCX},
		{t.StagesTCX, at + 1, p.AgentResumeTCX},
	}
}

// WireStages has functions come back to these programs. Those that are in the tables already keep the slots they
// know, until [Programs.KeepEnds] lets go of them: what was under way comes back to where it began. Only
// programs that were loaded against these tables can be wired.
func (p *Programs) WireStages(t *Tables) error {
	for _, e := range p.resumes(t, p.ends) {
		if err := e.m.Put(e.slot, e.p); err != nil {
			return fmt.Errorf("wire stages: %w", err)
		}
	}
	return nil
}

// KeepEnds has functions come back to these programs alone. It is for when nobody can be under way in others:
// they run no more, and a grace period has passed.
func (p *Programs) KeepEnds(t *Tables) error {
	for _, at := range []TableSlot{TableSlotSLOT_ENDS, TableSlotSLOT_OTHER_ENDS} {
		for _, e := range p.resumes(t, at) {
			ours, err := holds(e)
			if err != nil {
				return err
			}
			if ours {
				continue
			}
			if err := e.m.Delete(e.slot); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
				return fmt.Errorf("clear stages: %w", err)
			}
		}
	}
	return nil
}

// holds tells whether the program is in the slot.
func holds(e end) (bool, error) {
	var there uint32
	if err := e.m.Lookup(e.slot, &there); errors.Is(err, ebpf.ErrKeyNotExist) {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("read stages: %w", err)
	}
	info, err := e.p.Info()
	if err != nil {
		return false, fmt.Errorf("read program: %w", err)
	}
	id, _ := info.ID()
	return uint32(id) == there, nil
}

// freeEnds are slots that no programs come back by.
func (t *Tables) freeEnds() (TableSlot, error) {
	for _, at := range []TableSlot{TableSlotSLOT_ENDS, TableSlotSLOT_OTHER_ENDS} {
		taken := false
		for _, m := range []*ebpf.Map{t.StagesXDP, t.StagesTCX} {
			for _, slot := range []TableSlot{at, at + 1} {
				var there uint32
				err := m.Lookup(slot, &there)
				if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
					return 0, fmt.Errorf("read stages: %w", err)
				}
				taken = taken || err == nil
			}
		}
		if !taken {
			return at, nil
		}
	}
	return 0, errors.New("load programs: those of two builds are there already")
}
