// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"

	"github.com/cilium/ebpf"

	"github.com/mizar-go/mizar/bpf"
)

// idleSets is how many sets may wait to be freed. One grace period serves them all.
const idleSets = 256

// set is what a writer knows of one.
type set struct {
	id      uint32
	members []bpf.TableAddress // sorted
	self    bool               // one of them is this host
	refs    int                // rows that name it
}

// sets are groups of hosts, each once, however many rows name it. A set that no row names stays for a
// while: it may be wanted again, and a program may still be reading it.
type sets struct {
	table     table[uint32, bpf.TableSet]
	byID      map[uint32]*set // nil: read-only
	byContent map[string]*set
	idle      map[*set]bool // refs is 0
}

func newSets(m *ebpf.Map) *sets {
	return &sets{table: table[uint32, bpf.TableSet]{m}}
}

// content is what two sets have in common only if they can be one.
func content(members []bpf.TableAddress, self bool) string {
	var b bytes.Buffer
	for _, m := range members {
		b.Write(m.Bytes[:])
	}
	if self {
		b.WriteByte(1)
	}
	return b.String()
}

// load makes this a writer's. All sets are idle until held.
func (s *sets) load() error {
	s.byID, s.byContent, s.idle = map[uint32]*set{}, map[string]*set{}, map[*set]bool{}
	return s.table.each(func(id uint32, v bpf.TableSet) error {
		n := min(int(v.Count), setMembers)
		s.add(&set{id: id, members: slices.Clone(v.Members[:n]), self: v.Flags&bpf.TableSetFlagsSET_SELF != 0})
		return nil
	})
}

func (s *sets) add(e *set) {
	s.byID[e.id] = e
	s.byContent[content(e.members, e.self)] = e
	s.idle[e] = true
}

func (s *sets) remove(e *set) {
	delete(s.byID, e.id)
	delete(s.idle, e)
	if c := content(e.members, e.self); s.byContent[c] == e {
		delete(s.byContent, c)
	}
}

// get tells who is in a set.
func (s *sets) get(id uint32) ([]netip.Addr, error) {
	if id == 0 {
		return nil, nil
	}
	if s.byID != nil {
		if e, ok := s.byID[id]; ok {
			return fromWireAll(e.members), nil
		}
		return nil, errNoSet
	}
	v, err := s.table.get(id)
	if errors.Is(err, ErrNotFound) {
		return nil, errNoSet
	}
	if err != nil {
		return nil, err
	}
	return fromWireAll(v.Members[:min(int(v.Count), setMembers)]), nil
}

// errNoSet: a row names a set that is not there. To a reader that happens where a writer is at work.
var errNoSet = errors.New("its set is missing")

// acquire gives the id of the set of these hosts, for one row more. Nobody: 0.
func (s *sets) acquire(hosts []netip.Addr, own ownAddrs) (uint32, error) {
	if len(hosts) == 0 {
		return 0, nil
	}
	members := toWireAll(hosts)
	slices.SortFunc(members, func(a, b bpf.TableAddress) int { return bytes.Compare(a.Bytes[:], b.Bytes[:]) })
	e, err := s.ensure(members, own.any(members))
	if err != nil {
		return 0, err
	}
	s.hold(e.id)
	return e.id, nil
}

// ensure has the set in the kernel. It counts no reference.
func (s *sets) ensure(members []bpf.TableAddress, self bool) (*set, error) {
	c := content(members, self)
	if e, ok := s.byContent[c]; ok {
		return e, nil
	}
	v := setToWire(members, self)
	id := s.freeID(c)
	err := s.table.put(id, v)
	if errors.Is(err, ErrFull) && len(s.idle) > 0 {
		if err := s.flush(); err != nil {
			return nil, err
		}
		err = s.table.put(id, v)
	}
	if err != nil {
		return nil, fmt.Errorf("put set of %d hosts: %w", len(members), err)
	}
	e := &set{id: id, members: members, self: self}
	s.add(e)
	return e, nil
}

func setToWire(members []bpf.TableAddress, self bool) bpf.TableSet {
	v := bpf.TableSet{Count: uint32(len(members)), Slots: maglev(members)}
	if self {
		v.Flags = bpf.TableSetFlagsSET_SELF
	}
	copy(v.Members[:], members)
	return v
}

// freeID is made of the content. A set that waits to be freed has its id still, so that no program can
// take one for the other.
func (s *sets) freeID(content string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(content))
	for id := h.Sum32(); ; id++ {
		if id != 0 && s.byID[id] == nil {
			return id
		}
	}
}

// hold counts a row that names the set.
func (s *sets) hold(id uint32) {
	if e := s.byID[id]; e != nil {
		e.refs++
		delete(s.idle, e)
	}
}

// release is for a row that does so no more.
func (s *sets) release(id uint32) {
	e := s.byID[id]
	if e == nil {
		return
	}
	if e.refs--; e.refs == 0 {
		s.idle[e] = true
	}
}

// tidy frees the idle sets where they have become many. What cannot be freed now is tried again.
func (s *sets) tidy() {
	if len(s.idle) >= idleSets {
		_ = s.flush()
	}
}

// flush frees the idle sets.
func (s *sets) flush() error {
	if len(s.idle) == 0 {
		return nil
	}
	if err := bpf.Grace(); err != nil {
		return err
	}
	for e := range s.idle {
		if err := s.table.delete(e.id); err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("free set %#x: %w", e.id, err)
		}
		s.remove(e)
	}
	return nil
}
