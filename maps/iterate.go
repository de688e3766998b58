// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"errors"
	"iter"
)

// stream yields what more returns, until it returns nothing. It holds no lock while the caller has a
// row, so the caller may call anything.
func stream[R any](s *store, verb string, more func() ([]R, error)) iter.Seq2[R, error] {
	return func(yield func(R, error) bool) {
		for {
			var rows []R
			err := s.look(func() (err error) {
				rows, err = more()
				return err
			})
			if err != nil {
				var none R
				yield(none, naming(err, "list", verb))
				return
			}
			if rows == nil {
				return
			}
			for _, r := range rows {
				if !yield(r, nil) {
					return
				}
			}
		}
	}
}

// convertAll makes rows of keys and values, without those that convert says are not there.
func convertAll[K, V, R any](keys []K, values []V, convert func(K, V) (R, error)) ([]R, error) {
	rows := make([]R, 0, len(keys))
	for i := range keys {
		r, err := convert(keys[i], values[i])
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// allRows iterates over a table.
func allRows[K comparable, V, R any](s *store, what string, t table[K, V], convert func(K, V) (R, error)) iter.Seq2[R, error] {
	return func(yield func(R, error) bool) {
		var c cursor[K, V]
		stream(s, what, func() ([]R, error) {
			keys, values, err := t.next(&c)
			if err != nil || len(keys) == 0 {
				return nil, err
			}
			return convertAll(keys, values, convert)
		})(yield)
	}
}

// allPrefixes iterates over a trie as it was when the iteration began, less what is gone meanwhile.
func allPrefixes[K comparable, V, R any](s *store, what string, t *trie[K, V], convert func(K, V) (R, error)) iter.Seq2[R, error] {
	return func(yield func(R, error) bool) {
		var keys []K
		var values []V
		begun := false
		stream(s, what, func() ([]R, error) {
			if !begun {
				rows, err := t.all()
				if err != nil {
					return nil, err
				}
				keys, values = make([]K, 0, len(rows)), make([]V, 0, len(rows))
				for k, v := range rows {
					keys, values = append(keys, k), append(values, v)
				}
				begun = true
			}
			n := min(batch, len(keys))
			if n == 0 {
				return nil, nil
			}
			rows, err := convertAll(keys[:n], values[:n], func(k K, v V) (r R, err error) {
				if t.rows != nil {
					var there bool
					if v, there = t.rows[k]; !there {
						return r, ErrNotFound
					}
				}
				return convert(k, v)
			})
			keys, values = keys[n:], values[n:]
			return rows, err
		})(yield)
	}
}
