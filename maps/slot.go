// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/mizar-go/mizar/bpf"
)

// slots are the places in `traffic`, each an agent's or a droplet's. Slot 0 is nobody's.
type slots struct {
	m    *ebpf.Map
	used []bool
	last uint32 // dealt out: the next search goes on from there, so that a slot rests before it is used again
}

func newSlots(m *ebpf.Map) *slots {
	return &slots{m: m, used: make([]bool, m.MaxEntries())}
}

// note marks a slot that a row was found to have.
func (s *slots) note(slot uint32) {
	if int(slot) < len(s.used) {
		s.used[slot] = true
	}
}

// assign gives the slot for a row that wants one (0: any) and had another before (0: none). A new one is
// cleared. The caller frees whichever of the two the row has not in the end.
func (s *slots) assign(want, had uint32) (slot uint32, err error) {
	switch {
	case had != 0 && (want == 0 || want == had):
		return had, nil
	case want == 0:
		if slot, err = s.find(); err != nil {
			return 0, err
		}
	case int(want) >= len(s.used):
		return 0, invalid("there is no traffic slot %d", want)
	case s.used[want]:
		return 0, fmt.Errorf("take traffic slot %d: %w", want, ErrExists)
	default:
		slot = want
	}
	if err := s.clear(slot); err != nil {
		return 0, err
	}
	s.used[slot] = true
	return slot, nil
}

func (s *slots) find() (uint32, error) {
	n := uint32(len(s.used))
	for i := uint32(1); i <= n; i++ {
		if slot := (s.last + i) % n; slot != 0 && !s.used[slot] {
			s.last = slot
			return slot, nil
		}
	}
	return 0, fmt.Errorf("take a traffic slot: %w", ErrFull)
}

// free lets others have the slot. 0 is nothing.
func (s *slots) free(slot uint32) {
	if int(slot) < len(s.used) {
		s.used[slot] = false
	}
}

func (s *slots) clear(slot uint32) error {
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return fmt.Errorf("clear traffic slot %d: %w", slot, err)
	}
	return naming(explain(s.m.Put(slot, make([]bpf.TableTraffic, cpus))), "clear traffic slot", slot)
}
