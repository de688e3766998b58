// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"errors"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// batch is how many rows go to or come from the kernel in one call, at most.
const batch = 4096

// table is a map of the kernel's that knows the types of its keys and values, as they are in there.
type table[K comparable, V any] struct {
	m *ebpf.Map
}

func (t table[K, V]) get(key K) (value V, err error) {
	err = explain(t.m.Lookup(&key, &value))
	return value, err
}

func (t table[K, V]) put(key K, value V) error {
	return explain(t.m.Update(&key, &value, ebpf.UpdateAny))
}

// insert is put of a key that must not be there.
func (t table[K, V]) insert(key K, value V) error {
	return explain(t.m.Update(&key, &value, ebpf.UpdateNoExist))
}

func (t table[K, V]) delete(key K) error {
	return explain(t.m.Delete(&key))
}

// putAll writes rows in order and tells how many it wrote.
func (t table[K, V]) putAll(keys []K, values []V) (done int, err error) {
	return t.putAllFunc(keys, values, func(int) error { return nil })
}

// putAllFunc is putAll that calls f after each batch with how many are written, and stops at its error.
func (t table[K, V]) putAllFunc(keys []K, values []V, f func(done int) error) (done int, err error) {
	for done < len(keys) {
		end := min(done+batch, len(keys))
		n, err := t.m.BatchUpdate(keys[done:end], values[done:end], nil)
		if err != nil && n == end-done {
			n = 0 // the kernel failed before it began, and left the count as it was
		}
		done += n
		if err != nil {
			return done, explain(err)
		}
		if err := f(done); err != nil {
			return done, err
		}
	}
	return done, nil
}

// deleteAll deletes what is there of the keys, and calls missing for each that is not.
func (t table[K, V]) deleteAll(keys []K, missing func(i int)) error {
	for done := 0; done < len(keys); {
		end := min(done+batch, len(keys))
		n, err := t.m.BatchDelete(keys[done:end], nil)
		if err != nil && n == end-done {
			n = 0
		}
		done += n
		if err := explain(err); errors.Is(err, ErrNotFound) {
			missing(done) // where the kernel stopped
			done++
		} else if err != nil {
			return err
		}
	}
	return nil
}

// cursor walks through a table.
type cursor[K comparable, V any] struct {
	at     ebpf.MapBatchCursor
	size   int // of the next call
	keys   []K
	values []V
	end    bool
}

// next reads some more rows; none: that was all. What it returns is good until the next call. The kernel
// walks a hash bucket by bucket: a row that is there all the time comes once, whoever else writes.
func (t table[K, V]) next(c *cursor[K, V]) ([]K, []V, error) {
	if c.size == 0 {
		c.size = min(batch, max(64, 1<<20/int(t.m.ValueSize())))
	}
	for !c.end {
		if len(c.keys) != c.size {
			c.keys, c.values = make([]K, c.size), make([]V, c.size)
		}
		n, err := t.m.BatchLookup(&c.at, c.keys, c.values, nil)
		switch {
		case errors.Is(err, ebpf.ErrKeyNotExist):
			c.end = true
		case errors.Is(err, unix.ENOSPC) && c.size < int(t.m.MaxEntries()):
			c.size *= 2 // one bucket holds more
			continue
		case err != nil:
			return nil, nil, explain(err)
		}
		if n > 0 {
			return c.keys[:n], c.values[:n], nil
		}
	}
	return nil, nil, nil
}

// each calls f with every row, and stops at its first error.
func (t table[K, V]) each(f func(key K, value V) error) error {
	var c cursor[K, V]
	for {
		keys, values, err := t.next(&c)
		if err != nil || len(keys) == 0 {
			return err
		}
		for i := range keys {
			if err := f(keys[i], values[i]); err != nil {
				return err
			}
		}
	}
}
