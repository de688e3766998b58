// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"fmt"
	"iter"

	"github.com/cilium/ebpf"

	"github.com/mizar-go/mizar/bpf"
)

// Counter is how often a verdict was taken or a drop had a reason, over all CPUs.
type Counter struct {
	Reason  bpf.Reason // the verdict, or why it was dropped
	Name    string     // Reason's, or what a function calls it
	Packets uint64     // one that was merged of many counts once
	Bytes   uint64     // of frames, as the program saw them first
}

// Counters count every packet once, by verdict or reason.
type Counters struct{ s *store }

// Get returns one count. Of a reason beyond all that a table could hold: [ErrNotFound].
func (t *Counters) Get(reason bpf.Reason) (c Counter, err error) {
	err = t.s.look(func() error {
		c, err = t.sum(reason)
		return err
	})
	return c, naming(err, "get counter", reason)
}

func (t *Counters) sum(reason bpf.Reason) (Counter, error) {
	if reason >= bpf.TableReasonREASON_MAX {
		return Counter{}, ErrNotFound
	}
	var cpus []bpf.TableCounter
	if err := t.s.maps.Counters.Lookup(uint32(reason), &cpus); err != nil {
		return Counter{}, explain(err)
	}
	name, err := t.s.nameOf(reason)
	if err != nil {
		return Counter{}, err
	}
	sum := Counter{Reason: reason, Name: name}
	for _, c := range cpus {
		sum.Packets += c.Packets
		sum.Bytes += c.Bytes
	}
	return sum, nil
}

// clearCounter begins anew.
func (s *store) clearCounter(reason bpf.Reason) error {
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return fmt.Errorf("clear counter %v: %w", reason, err)
	}
	return naming(explain(s.maps.Counters.Put(uint32(reason), make([]bpf.TableCounter, cpus))), "clear counter", reason)
}

// All iterates over the counts that are not zero, in the order of the reasons.
func (t *Counters) All() iter.Seq2[Counter, error] {
	return func(yield func(Counter, error) bool) {
		begun := false
		stream(t.s, "counters", func() (rows []Counter, err error) {
			if begun {
				return nil, nil
			}
			begun = true
			rows = []Counter{}
			for r := range bpf.TableReasonREASON_MAX {
				c, err := t.sum(r)
				if err != nil {
					return nil, err
				}
				if c.Packets != 0 {
					rows = append(rows, c)
				}
			}
			return rows, nil
		})(yield)
	}
}
