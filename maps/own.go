// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/mizar-go/mizar/bpf"
)

// ownAddrs are the underlay addresses of this host, each with an interface that has it.
type ownAddrs map[bpf.TableAddress]uint32

// any tells whether one of the hosts is this one.
func (o ownAddrs) any(hosts []bpf.TableAddress) bool {
	return slices.ContainsFunc(hosts, func(h bpf.TableAddress) bool {
		_, ok := o[h]
		return ok
	})
}

// of are an interface's, sorted.
func (o ownAddrs) of(ifindex uint32) (addrs []bpf.TableAddress) {
	for a, i := range o {
		if i == ifindex {
			addrs = append(addrs, a)
		}
	}
	slices.SortFunc(addrs, func(a, b bpf.TableAddress) int { return bytes.Compare(a.Bytes[:], b.Bytes[:]) })
	return addrs
}

// allOwn are the rows of addresses.
func (s *store) allOwn() (ownAddrs, error) {
	if s.own != nil {
		return s.own, nil
	}
	own := ownAddrs{}
	err := s.addresses.each(func(a bpf.TableAddress, ifindex uint32) error {
		own[a] = ifindex
		return nil
	})
	return own, err
}

// setOwn gives an address to an interface; 0: to none.
func (s *store) setOwn(a bpf.TableAddress, ifindex uint32) (err error) {
	if ifindex == 0 {
		err = s.addresses.delete(a)
		if errors.Is(err, ErrNotFound) {
			err = nil
		}
	} else {
		err = s.addresses.put(a, ifindex)
	}
	switch {
	case err != nil:
		return naming(err, "set own address", fromWire(a))
	case ifindex == 0:
		delete(s.own, a)
	default:
		s.own[a] = ifindex
	}
	return nil
}

// checkShared refuses an address of another droplet, but as a source. There is one owner to an address, and
// sources are how the next one is found when it goes.
func (s *store) checkShared(ifindex uint32, d Droplet) error {
	w := d.toWire()
	for _, addr := range d.Addrs {
		a := toWire(addr)
		if owner, ok := s.own[a]; ok && owner != ifindex && a != w.Source4 && a != w.Source6 {
			return fmt.Errorf("address %v is droplet %d's: %w", addr, owner, ErrExists)
		}
	}
	return nil
}

// ownMore gives an interface the addresses that nobody has.
func (s *store) ownMore(ifindex uint32, want []bpf.TableAddress, back *undo) error {
	for _, a := range want {
		if _, ok := s.own[a]; ok {
			continue
		}
		if err := s.setOwn(a, ifindex); err != nil {
			return err
		}
		back.add(func() error { return s.setOwn(a, 0) })
	}
	return nil
}

// ownOnly takes the others from it. One that is the source of another droplet passes to that.
func (s *store) ownOnly(ifindex uint32, want []bpf.TableAddress, back *undo) error {
	for _, a := range s.own.of(ifindex) {
		if slices.Contains(want, a) {
			continue
		}
		heir, err := s.heir(a, ifindex)
		if err != nil {
			return err
		}
		if err := s.setOwn(a, heir); err != nil {
			return err
		}
		back.add(func() error { return s.setOwn(a, ifindex) })
	}
	return nil
}

// heir is another droplet that sends from the address; 0: none.
func (s *store) heir(a bpf.TableAddress, not uint32) (heir uint32, err error) {
	err = s.droplets.each(func(ifindex uint32, d bpf.TableDroplet) error {
		if ifindex != not && (d.Source4 == a || d.Source6 == a) {
			heir = ifindex
		}
		return nil
	})
	return heir, err
}
