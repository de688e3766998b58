// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/cilium/ebpf"

	"github.com/mizar-go/mizar/bpf"
)

// stageSlots is the size of the prog arrays.
const stageSlots = 4096

// stages are the slots of the prog arrays, as their only writer knows them.
type stages struct {
	rows map[bpf.TableChainKey]bpf.TableChains
	used [stageSlots]bool
	idle []bpf.TableChain // left, but packets may still be there
}

func (st *stages) mark(c bpf.TableChain, used bool) {
	for i := range c.Count {
		st.used[c.First+i] = used
	}
}

// leave is for a chain that packets do not begin any more.
func (st *stages) leave(c bpf.TableChain) {
	if c.Count != 0 {
		st.idle = append(st.idle, c)
	}
}

// take finds free slots, one after the other.
func (st *stages) take(n int) (c bpf.TableChain, err error) {
	if n == 0 {
		return c, nil
	}
	run := 0
	for slot := int(bpf.TableSlotSLOT_FIRST); slot < stageSlots; slot++ {
		run++
		if st.used[slot] {
			run = 0
		}
		if run == n {
			c = bpf.TableChain{First: uint16(slot + 1 - n), Count: uint16(n)}
			st.mark(c, true)
			return c, nil
		}
	}
	return c, fmt.Errorf("%d slots for functions: %w", n, ErrFull)
}

// loadStages reads the chains.
func (s *store) loadStages() error {
	s.stages = &stages{rows: make(map[bpf.TableChainKey]bpf.TableChains)}
	return s.chains.each(func(k bpf.TableChainKey, row bpf.TableChains) error {
		for _, c := range row.Stage {
			if int(c.First)+int(c.Count) > stageSlots {
				return fmt.Errorf("%w: functions in slot %d", bpf.ErrABI, c.First)
			}
			s.stages.mark(c, true)
		}
		s.stages.rows[k] = row
		return nil
	})
}

// mendStages forgets the functions of endpoints that are there no more, empties slots that no chain is in, and has
// the settings say which stages have any.
func (s *store) mendStages() error {
	for _, k := range slices.Collect(maps.Keys(s.stages.rows)) {
		if k.Ifindex == 0 {
			continue
		}
		_, err := s.agents.get(k.Ifindex)
		if errors.Is(err, ErrNotFound) {
			err = s.dropChains(k.Ifindex)
		}
		if err != nil {
			return err
		}
	}
	if err := s.findStrays(); err != nil {
		return err
	}
	if len(s.stages.idle) > 0 {
		if err := s.settled(); err != nil {
			return err
		}
		s.freeStages()
	}
	return s.markStages(s.stages.have())
}

// findStrays leaves slots that are filled and that no chain is in: who died had not filled a chain yet, or not emptied it,
// and then programs may know it still.
func (s *store) findStrays() error {
	for slot := bpf.TableSlotSLOT_FIRST; slot < stageSlots; slot++ {
		if s.stages.used[slot] {
			continue
		}
		for _, m := range []*ebpf.Map{s.maps.StagesXDP, s.maps.StagesTCX} {
			var id uint32
			err := m.Lookup(slot, &id)
			if errors.Is(err, ebpf.ErrKeyNotExist) {
				continue
			}
			if err != nil {
				return fmt.Errorf("read slot %d: %w", slot, explain(err))
			}
			c := bpf.TableChain{First: uint16(slot), Count: 1}
			s.stages.mark(c, true)
			s.stages.leave(c)
			break
		}
	}
	return nil
}

func (s *store) empty(slot bpf.TableSlot) error {
	for _, m := range []*ebpf.Map{s.maps.StagesXDP, s.maps.StagesTCX} {
		if err := m.Delete(slot); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("empty slot %d: %w", slot, explain(err))
		}
	}
	return nil
}

// have are the stages with functions, a bit each.
func (st *stages) have() (bits uint32) {
	for _, row := range st.rows {
		for stage, c := range row.Stage {
			if c.Count != 0 {
				bits |= 1 << stage
			}
		}
	}
	return bits
}

// markStages has programs look for functions at these stages.
func (s *store) markStages(bits uint32) error {
	settings, err := s.settings.get(0)
	if err != nil || settings.Stages == bits {
		return err
	}
	settings.Stages = bits
	return s.settings.put(0, settings)
}

// setChain writes the new chain aside, has its row name it, and frees the old one's slots when no packet is in it.
func (s *store) setChain(stage bpf.Stage, key ChainKey, functions []*bpf.Function) (err error) {
	var back undo
	defer func() { back.unless(&err) }()
	chain, err := s.take(len(functions))
	if err != nil {
		return err
	}
	back.add(func() error {
		s.stages.mark(chain, false)
		return nil
	})
	for i, f := range functions {
		slot := bpf.TableSlot(int(chain.First) + i)
		back.add(func() error { return s.empty(slot) })
		if err := s.fill(slot, f); err != nil {
			return fmt.Errorf("function %s: %w", f.Name, err)
		}
	}
	k := key.toWire()
	old, was := s.stages.rows[k]
	row := old
	row.Vni, row.Ifindex, row.Stage[stage] = k.Vni, k.Ifindex, chain
	// Programs look where there may be functions: they begin to before, and end to after.
	if err := s.markStages(s.stages.have() | 1<<stage); err != nil {
		return err
	}
	back.add(func() error { return s.markStages(s.stages.have()) })
	if err := s.chains.put(k, row); err != nil {
		return err
	}
	back = nil // packets may be in it now: its slots are free when they are not
	if err := s.settled(); err != nil {
		return errors.Join(err, s.chainBack(stage, k, row, old, was))
	}
	// From here on packets run through the new one. What cannot be freed now is tried again.
	s.stages.rows[k] = row
	s.stages.leave(old.Stage[stage])
	if row.Stage == (bpf.TableChains{}).Stage {
		if err := s.chains.delete(k); err == nil {
			delete(s.stages.rows, k)
		}
	}
	_ = s.markStages(s.stages.have())
	s.freeStages()
	return nil
}

// chainBack has a row name the chain that it did before, of which programs may know the new one.
func (s *store) chainBack(stage bpf.Stage, k bpf.TableChainKey, row, old bpf.TableChains, was bool) (err error) {
	if was {
		err = s.chains.put(k, old)
	} else {
		err = s.chains.delete(k)
	}
	if err != nil {
		s.stages.rows[k] = row // so it is the new one's
		s.stages.leave(old.Stage[stage])
		return err
	}
	s.stages.leave(row.Stage[stage])
	return s.markStages(s.stages.have())
}

// take is that of stages, which waits where only those that were left would do.
func (s *store) take(n int) (bpf.TableChain, error) {
	c, err := s.stages.take(n)
	if err == nil || len(s.stages.idle) == 0 {
		return c, err
	}
	if err := s.settled(); err != nil {
		return c, err
	}
	s.freeStages()
	return s.stages.take(n)
}

func (s *store) fill(slot bpf.TableSlot, f *bpf.Function) error {
	if err := s.maps.StagesTCX.Put(slot, f.TCX); err != nil {
		return explain(err)
	}
	if f.XDP == nil {
		return nil
	}
	return explain(s.maps.StagesXDP.Put(slot, f.XDP))
}

// freeStages empties what was left before the last grace period.
func (s *store) freeStages() {
	var still []bpf.TableChain
	for _, c := range s.stages.idle {
		for i := range c.Count {
			if s.empty(bpf.TableSlot(c.First+i)) != nil {
				still = append(still, bpf.TableChain{First: c.First + i, Count: 1})
				continue
			}
			s.stages.used[c.First+i] = false
		}
	}
	s.stages.idle = still
}

// functionsOf reads which programs are in a chain's slots.
func (s *store) functionsOf(c bpf.TableChain) (ids []ebpf.ProgramID, err error) {
	for i := range c.Count {
		var id uint32
		if err := s.maps.StagesTCX.Lookup(bpf.TableSlot(c.First+i), &id); err != nil {
			return nil, fmt.Errorf("read slot %d: %w", c.First+i, explain(err))
		}
		ids = append(ids, ebpf.ProgramID(id))
	}
	return ids, nil
}
