// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"cmp"
	"errors"
	"net/netip"
	"slices"
)

// A row of `allowed` is an interface and a prefix that it may send from. A writer keeps them by
// interface, too: the kernel cannot tell which there are.

func checkAllowed(prefixes []netip.Prefix) error {
	for _, p := range prefixes {
		if err := checkPrefix(p); err != nil {
			return err
		}
		if coversIPv4(p) && !slices.Contains(prefixes, netip.PrefixFrom(netip.IPv4Unspecified(), 0)) {
			return invalid("prefix %v takes in all of IPv4 (::ffff:0:0/96): allow 0.0.0.0/0, too, or 2000::/3", p)
		}
	}
	return nil
}

func comparePrefixes(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
}

// clonePrefixes makes of none nil.
func clonePrefixes(p []netip.Prefix) []netip.Prefix {
	if len(p) == 0 {
		return nil
	}
	return slices.Clone(p)
}

// allAllowed are the rows by interface. The map is not the caller's to change.
func (s *store) allAllowed() (map[int][]netip.Prefix, error) {
	if s.allow != nil {
		return s.allow, nil
	}
	rows, err := s.allowed.scan()
	if err != nil {
		return nil, err
	}
	by := make(map[int][]netip.Prefix)
	for k := range rows {
		ifindex, p := fromAllowedKey(k)
		by[ifindex] = append(by[ifindex], p)
	}
	for _, p := range by {
		slices.SortFunc(p, comparePrefixes)
	}
	return by, nil
}

// allowMore adds what is missing.
func (s *store) allowMore(ifindex int, want []netip.Prefix, back *undo) error {
	for _, p := range want {
		if slices.Contains(s.allow[ifindex], p) {
			continue
		}
		if err := s.allowOne(ifindex, p); err != nil {
			return err
		}
		back.add(func() error { return s.allowNot(ifindex, p) })
	}
	return nil
}

// allowOnly takes away what is too much.
func (s *store) allowOnly(ifindex int, want []netip.Prefix, back *undo) error {
	for _, p := range slices.Clone(s.allow[ifindex]) {
		if slices.Contains(want, p) {
			continue
		}
		if err := s.allowNot(ifindex, p); err != nil {
			return err
		}
		back.add(func() error { return s.allowOne(ifindex, p) })
	}
	return nil
}

func (s *store) allowOne(ifindex int, p netip.Prefix) error {
	if err := s.allowed.put(toAllowedKey(ifindex, p), 1); err != nil {
		return naming(err, "allow prefix", p)
	}
	have := append(s.allow[ifindex], p)
	slices.SortFunc(have, comparePrefixes)
	s.allow[ifindex] = have
	return nil
}

func (s *store) allowNot(ifindex int, p netip.Prefix) error {
	if err := s.allowed.delete(toAllowedKey(ifindex, p)); err != nil && !errors.Is(err, ErrNotFound) {
		return naming(err, "allow no more prefix", p)
	}
	have := slices.DeleteFunc(s.allow[ifindex], func(q netip.Prefix) bool { return q == p })
	if len(have) == 0 {
		delete(s.allow, ifindex)
	} else {
		s.allow[ifindex] = have
	}
	return nil
}
