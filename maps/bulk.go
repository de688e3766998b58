// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"errors"
	"fmt"
	"net/netip"
)

// of names the row of a bulk call that an error is about. A single call is named for it anyway.
func of(err error, all int, key any) error {
	if all == 1 {
		return err
	}
	return fmt.Errorf("%v: %w", key, err)
}

// absent counts what was to be deleted and is not there.
type absent struct {
	n     int
	first any
}

func (a *absent) note(key any) {
	if a.n == 0 {
		a.first = key
	}
	a.n++
}

func (a *absent) err(all int) error {
	switch {
	case a.n == 0:
		return nil
	case all == 1:
		return ErrNotFound
	}
	return fmt.Errorf("%v and %d others of %d: %w", a.first, a.n-1, all, ErrNotFound)
}

// checkHosts takes the members of a set.
func checkHosts(what string, hosts []netip.Addr) error {
	if len(hosts) > setMembers {
		return invalid("%d are more than %d %ss", len(hosts), setMembers, what)
	}
	seen := make(map[netip.Addr]bool, len(hosts))
	for _, h := range hosts {
		if err := checkAddr(what, h); err != nil {
			return err
		}
		if seen[h] {
			return invalid("%s %v is there twice", what, h)
		}
		seen[h] = true
	}
	return nil
}

// rereads is how often a reader follows a writer in another process.
const rereads = 16

// consistent is a row and who is in the set that it names. A writer in another process may free the set
// between the two: then the row has changed, too.
func consistent[V any](s *store, row V, set func(V) uint32, again func() (V, error)) (V, []netip.Addr, error) {
	for i := 0; ; i++ {
		hosts, err := s.sets.get(set(row))
		if !errors.Is(err, errNoSet) || i == rereads {
			return row, hosts, err
		}
		if row, err = again(); err != nil {
			return row, nil, err
		}
	}
}
