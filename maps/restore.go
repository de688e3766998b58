// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"bytes"
	"fmt"
	"iter"

	"github.com/mizar-go/mizar/bpf"
)

// Saved is an interface as it was found, for whoever has to put it back.
type Saved struct {
	Ifindex     int       // the kernel's number of it, never 0
	Name        string    // 1 to 15 bytes
	Role        Role      // what it serves as
	Mode        bpf.Mode  // how programs are attached
	FeatureMask [2]uint64 // features that were changed, as package internal/ethtool counts them
	FeatureWas  [2]uint64 // what they were
	GSOMaxSize  uint32    // as found; 0: not changed
	GROMaxSize  uint32    // as found; 0: not changed
	Qdisc       bool      // clsact was added by us
	Device      uint64    // tells the device from another that got its ifindex; 0: unknown
}

// Role is what an interface serves as.
type Role uint8

const (
	RoleDroplet  Role = iota + 1 // on the underlay
	RoleEndpoint                 // host side of a veth that we made
	RoleAdopted                  // host side of an endpoint that was there before
)

var roleNames = [...]string{RoleDroplet: "droplet", RoleEndpoint: "endpoint", RoleAdopted: "adopted"}

// String is the role's name in lower case.
func (r Role) String() string {
	if r != 0 && int(r) < len(roleNames) {
		return roleNames[r]
	}
	return fmt.Sprintf("role(%d)", uint8(r))
}

func (s Saved) validate() error {
	if err := checkIfindex(s.Ifindex); err != nil {
		return err
	}
	// The kernel ends names by a zero byte.
	if n := len(s.Name); n == 0 || n >= len(bpf.TableRestore{}.Name) || bytes.IndexByte([]byte(s.Name), 0) >= 0 {
		return invalid("%q is no interface's name", s.Name)
	}
	if s.Role == 0 || int(s.Role) >= len(roleNames) {
		return invalid("%v is none that is known", s.Role)
	}
	return nil
}

// Restore is for whoever has to put interfaces back as they were, this process or a later one. Programs
// do not read it.
type Restore struct{ s *store }

// Put adds what is known of an interface, or replaces it.
func (t *Restore) Put(row Saved) error {
	return naming(t.s.change(func() error {
		if err := row.validate(); err != nil {
			return err
		}
		w := bpf.TableRestore{
			FeatureMask: row.FeatureMask,
			FeatureWas:  row.FeatureWas,
			Device:      row.Device,
			GsoMaxSize:  row.GSOMaxSize,
			GroMaxSize:  row.GROMaxSize,
			Role:        uint8(row.Role),
			Mode:        uint8(row.Mode),
		}
		if row.Qdisc {
			w.Qdisc = 1
		}
		copy(w.Name[:], row.Name)
		return t.s.restore.put(uint32(row.Ifindex), w)
	}), "put settings of interface", row.Ifindex)
}

// Get returns what is known of an interface.
func (t *Restore) Get(ifindex int) (row Saved, err error) {
	err = t.s.look(func() error {
		if err := checkIfindex(ifindex); err != nil {
			return err
		}
		w, err := t.s.restore.get(uint32(ifindex))
		if err == nil {
			row, err = savedFromWire(uint32(ifindex), w)
		}
		return err
	})
	return row, naming(err, "get settings of interface", ifindex)
}

func savedFromWire(ifindex uint32, w bpf.TableRestore) (Saved, error) {
	name, _, _ := bytes.Cut(w.Name[:], []byte{0})
	return Saved{
		Ifindex:     int(ifindex),
		Name:        string(name),
		Role:        Role(w.Role),
		Mode:        bpf.Mode(w.Mode),
		FeatureMask: w.FeatureMask,
		FeatureWas:  w.FeatureWas,
		GSOMaxSize:  w.GsoMaxSize,
		GROMaxSize:  w.GroMaxSize,
		Qdisc:       w.Qdisc != 0,
		Device:      w.Device,
	}, nil
}

// Delete forgets an interface.
func (t *Restore) Delete(ifindex int) error {
	return naming(t.s.change(func() error {
		if err := checkIfindex(ifindex); err != nil {
			return err
		}
		return t.s.restore.delete(uint32(ifindex))
	}), "delete settings of interface", ifindex)
}

// All iterates over the interfaces.
func (t *Restore) All() iter.Seq2[Saved, error] {
	return allRows(t.s, "settings of interfaces", t.s.restore, savedFromWire)
}
