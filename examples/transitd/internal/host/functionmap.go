// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/dataplane"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// UpdateFunctionMap writes to one of a function's own maps. What is in these is the functions' and not kept on disk.
func (h *Host) UpdateFunctionMap(ctx context.Context, r *pb.UpdateFunctionMapRequest, by string) (written, deleted int, err error) {
	defer func() {
		if written+deleted > 0 {
			h.changed(pb.Kind_KIND_FUNCTION, r.Function, pb.Outcome_OUTCOME_REPLACED, written+deleted, by)
		}
	}()
	err = h.functionMap(ctx, r.Function, r.Map, func(m *ebpf.Map) error {
		size := int(m.ValueSize())
		if perCPU(m) {
			size = rounded(size) * ebpf.MustPossibleCPU()
		}
		for i, e := range r.Entries {
			switch {
			case len(e.GetKey()) != int(m.KeySize()):
				return wrong(fmt.Sprintf("entries[%d].key", i), "a key has %d bytes, not %d", m.KeySize(), len(e.GetKey()))
			case len(e.GetValue()) != size:
				return wrong(fmt.Sprintf("entries[%d].value", i), "a value has %d bytes, not %d", size, len(e.GetValue()))
			}
		}
		for i, key := range r.DeleteKeys {
			if len(key) != int(m.KeySize()) {
				return wrong(fmt.Sprintf("delete_keys[%d]", i), "a key has %d bytes, not %d", m.KeySize(), len(key))
			}
		}
		for _, e := range r.Entries {
			var value any = e.Value
			if perCPU(m) {
				value = splitCPUs(e.Value, int(m.ValueSize()))
			}
			err := m.Put(e.Key, value)
			if errors.Is(err, unix.E2BIG) || errors.Is(err, unix.ENOSPC) {
				return fmt.Errorf("after %d entries: %w: %w", written, dataplane.ErrFull, err)
			}
			if err != nil {
				return fmt.Errorf("after %d entries: %w", written, err)
			}
			written++
		}
		for _, key := range r.DeleteKeys {
			err := m.Delete(key)
			if errors.Is(err, ebpf.ErrKeyNotExist) {
				continue
			}
			if err != nil {
				return fmt.Errorf("delete: %w", err)
			}
			deleted++
		}
		return nil
	})
	return written, deleted, err
}

// FunctionMap reads one of a function's own maps.
func (h *Host) FunctionMap(ctx context.Context, function, name string) iter.Seq2[*pb.MapEntry, error] {
	return func(yield func(*pb.MapEntry, error) bool) {
		err := h.functionMap(ctx, function, name, func(m *ebpf.Map) error {
			var key, plain []byte
			var value any = &plain
			var each [][]byte
			if perCPU(m) {
				each = make([][]byte, ebpf.MustPossibleCPU())
				value = each
			}
			all := m.Iterate()
			for ctx.Err() == nil && all.Next(&key, value) {
				if !yield(&pb.MapEntry{Key: append([]byte(nil), key...), Value: joinCPUs(plain, each)}, nil) {
					return nil
				}
			}
			return errors.Join(ctx.Err(), all.Err())
		})
		if err != nil {
			yield(nil, err)
		}
	}
}

// functionMap does f to a map that holds plain bytes.
func (h *Host) functionMap(ctx context.Context, function, name string, f func(*ebpf.Map) error) (err error) {
	defer func() {
		if err != nil {
			err = &Error{Kind: pb.Kind_KIND_FUNCTION, Key: function, Field: fieldOf(err), Err: err}
		}
	}()
	loaded, err := h.dp.Function.Get(ctx, function)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, loaded.Close()) }()
	m, ok := loaded.Maps[name]
	if !ok {
		return fmt.Errorf("map %q: %w", name, dataplane.ErrNotFound)
	}
	switch m.Type() {
	case ebpf.Hash, ebpf.Array, ebpf.LRUHash, ebpf.LPMTrie, ebpf.PerCPUHash, ebpf.PerCPUArray, ebpf.LRUCPUHash:
		return f(m)
	}
	return fmt.Errorf("map %s is of kind %v: %w", name, m.Type(), dataplane.ErrNotSupported)
}

// splitCPUs is a value of each CPU, of all of them, which are rounded up to 8 bytes each.
func splitCPUs(all []byte, size int) [][]byte {
	var each [][]byte
	for len(all) > 0 {
		each = append(each, all[:size])
		all = all[rounded(size):]
	}
	return each
}

// joinCPUs is the other way round; plain is of a map that has one value for all CPUs.
func joinCPUs(plain []byte, each [][]byte) []byte {
	all := append([]byte(nil), plain...)
	for _, v := range each {
		all = append(all, v...)
		all = append(all, make([]byte, rounded(len(v))-len(v))...)
	}
	return all
}

func rounded(size int) int { return (size + 7) / 8 * 8 }

func perCPU(m *ebpf.Map) bool {
	return m.Type() == ebpf.PerCPUHash || m.Type() == ebpf.PerCPUArray || m.Type() == ebpf.LRUCPUHash
}
