// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"errors"
	"fmt"
	"iter"

	"github.com/mizar-go/mizar/bpf"
)

// ReasonName is what a function calls one of its reasons to drop packets.
type ReasonName struct {
	Reason bpf.Reason // its number here, from [bpf.TableReasonREASON_FUNCTION_FIRST] on
	Name   string     // at most 64 bytes
}

// Reasons are the names of the reasons that functions brought.
type Reasons struct{ s *store }

// Take gives names numbers: those that they have, or free ones. More than there is room for: [ErrFull], and none is
// taken.
func (t *Reasons) Take(names ...string) (numbers map[string]bpf.Reason, err error) {
	err = t.s.change(func() (err error) {
		numbers = make(map[string]bpf.Reason)
		known := make(map[bpf.Reason]string)
		by := make(map[string]bpf.Reason)
		err = t.s.reasons.each(func(k uint32, row bpf.TableReasonName) error {
			known[bpf.Reason(k)], by[reasonName(row)] = reasonName(row), bpf.Reason(k)
			return nil
		})
		if err != nil {
			return err
		}
		var back undo
		defer func() { back.unless(&err) }()
		next := bpf.TableReasonREASON_FUNCTION_FIRST
		for _, n := range names {
			var row bpf.TableReasonName
			if n == "" || len(n) > len(row.Name) {
				return invalid("%q is no name of a reason: it takes 1 to %d bytes", n, len(row.Name))
			}
			if number, ok := by[n]; ok {
				numbers[n] = number
				continue
			}
			for known[next] != "" {
				next++
			}
			if next >= bpf.TableReasonREASON_MAX {
				return fmt.Errorf("reasons of functions: %w", ErrFull)
			}
			copy(row.Name[:], n)
			key := uint32(next)
			if err := t.s.reasons.put(key, row); err != nil {
				return err
			}
			back.add(func() error { return t.s.reasons.delete(key) })
			known[next], by[n], numbers[n] = n, next, next
		}
		return nil
	})
	return numbers, naming(err, "take", "reasons")
}

// Delete forgets names, and what was counted by them. A name that is not there is forgotten already.
func (t *Reasons) Delete(names ...string) error {
	gone := make(map[string]bool)
	for _, n := range names {
		gone[n] = true
	}
	return naming(t.s.change(func() error {
		var keys []uint32
		err := t.s.reasons.each(func(k uint32, row bpf.TableReasonName) error {
			if gone[reasonName(row)] {
				keys = append(keys, k)
			}
			return nil
		})
		for _, k := range keys {
			err = errors.Join(err, t.s.reasons.delete(k), t.s.clearCounter(bpf.Reason(k)))
		}
		return err
	}), "delete", "reasons")
}

// All iterates over the names.
func (t *Reasons) All() iter.Seq2[ReasonName, error] {
	return allRows(t.s, "reasons", t.s.reasons, func(k uint32, row bpf.TableReasonName) (ReasonName, error) {
		return ReasonName{bpf.Reason(k), reasonName(row)}, nil
	})
}

// nameOf is what a function calls a reason, or its name in the enum.
func (s *store) nameOf(reason bpf.Reason) (string, error) {
	if reason < bpf.TableReasonREASON_FUNCTION_FIRST {
		return reason.String(), nil
	}
	row, err := s.reasons.get(uint32(reason))
	if errors.Is(err, ErrNotFound) {
		return reason.String(), nil
	}
	return reasonName(row), err
}

func reasonName(row bpf.TableReasonName) string {
	n := 0
	for n < len(row.Name) && row.Name[n] != 0 {
		n++
	}
	return string(row.Name[:n])
}
