// SPDX-License-Identifier: Apache-2.0

package maps

import "fmt"

// referrer is a row that names a set, ready to be written.
type referrer[K comparable, V any] struct {
	key   K
	value V
	from  uint32 // set of the row that it replaces; 0: none
	to    uint32 // its own, acquired
}

// exchange writes rows that name sets, in order, and keeps count of the sets: a new one is there before
// the row that names it, and the old one until programs have let go of it. prepare acquires row i's set,
// and does nothing else that would have to be undone. exchange tells how many rows were written.
func exchange[K comparable, V any](s *sets, n int, prepare func(i int) (referrer[K, V], error),
	write func([]K, []V) (int, error)) (done int, err error) {
	for done < n {
		var rows []referrer[K, V]
		var keys []K
		var values []V
		for i := done; i < min(done+batch, n); i++ {
			r, err := prepare(i)
			if err != nil && len(rows) == 0 {
				return done, err
			}
			if err != nil {
				break // sets that these rows let go may make room for it
			}
			rows, keys, values = append(rows, r), append(keys, r.key), append(values, r.value)
		}
		written, err := write(keys, values)
		for i, r := range rows {
			if i < written {
				s.release(r.from)
			} else {
				s.release(r.to)
			}
		}
		done += written
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// progress says how much of a bulk call was done, where it was not all.
func progress(err error, done, all int) error {
	if err == nil || all == 1 {
		return err
	}
	return fmt.Errorf("%w (%d of %d done before)", err, done, all)
}

// lastOf drops rows that a later one of the same key replaces.
func lastOf[R any, K comparable](rows []R, key func(R) K) []R {
	last := make(map[K]int, len(rows))
	for i, r := range rows {
		last[key(r)] = i
	}
	if len(last) == len(rows) {
		return rows
	}
	kept := make([]R, 0, len(last))
	for i, r := range rows {
		if last[key(r)] == i {
			kept = append(kept, r)
		}
	}
	return kept
}
