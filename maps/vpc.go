// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"iter"
	"net/netip"

	"github.com/mizar-go/mizar/bpf"
)

// VPC is one tenant's address space.
type VPC struct {
	VNI          uint32       // 1 to 1<<24 - 1
	Dividers     []netip.Addr // hosts that know its networks, 64 at most, in any order; none: only what is known here is reached
	NoDirectPath bool         // nothing is learned: packets between hosts stay on the bouncers
	Cookie       uint64       // the caller's
}

func (v VPC) validate() error {
	if err := checkVNI(v.VNI); err != nil {
		return err
	}
	return checkHosts("divider", v.Dividers)
}

// VPCs are the tenants. What was learned under a VPC is void once it is deleted, also for one that gets
// its VNI later.
type VPCs struct{ s *store }

// Put adds a VPC, or replaces it. What was learned stays then, but where NoDirectPath is new: that voids it.
func (t *VPCs) Put(row VPC) error {
	return naming(t.putAll([]VPC{row}), "put VPC", row.VNI)
}

// PutAll is Put for many. If a row is invalid, nothing is written. Otherwise rows are written in order up
// to the first that fails, and stay.
func (t *VPCs) PutAll(rows []VPC) error {
	return naming(t.putAll(rows), "put", "VPCs")
}

func (t *VPCs) putAll(rows []VPC) error {
	for _, r := range rows {
		if err := r.validate(); err != nil {
			return of(err, len(rows), r.VNI)
		}
	}
	rows = lastOf(rows, func(r VPC) uint32 { return r.VNI })
	return t.s.change(func() error {
		defer t.s.sets.tidy()
		done, err := exchange(t.s.sets, len(rows), func(i int) (referrer[uint32, bpf.TableVpc], error) {
			return t.prepare(rows[i])
		}, t.s.vpcs.putAll)
		if err != nil {
			err = of(err, len(rows), rows[done].VNI)
		}
		return progress(err, done, len(rows))
	})
}

func (t *VPCs) prepare(row VPC) (r referrer[uint32, bpf.TableVpc], err error) {
	old, err := t.s.vpcs.get(row.VNI)
	if errors.Is(err, ErrNotFound) {
		old = bpf.TableVpc{Generation: newGeneration()}
	} else if err != nil {
		return r, err
	}
	r.key, r.from = row.VNI, old.Set
	if r.to, err = t.s.sets.acquire(row.Dividers, t.s.own); err != nil {
		return r, err
	}
	r.value = bpf.TableVpc{Set: r.to, Generation: old.Generation, Vni: row.VNI, Cookie: row.Cookie}
	if row.NoDirectPath {
		r.value.Flags |= bpf.TableVpcFlagsVPC_NO_DIRECT
		if old.Flags&bpf.TableVpcFlagsVPC_NO_DIRECT == 0 {
			// Nobody learns what changes while this is set: without it, what was known before may be wrong.
			r.value.Generation = newGeneration()
		}
	}
	return r, nil
}

// newGeneration was never used before, by this process or another.
func newGeneration() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return binary.NativeEndian.Uint64(b[:])
}

// renew voids what was learned in a VPC.
func (s *store) renew(vni uint32) error {
	v, err := s.vpcs.get(vni)
	if errors.Is(err, ErrNotFound) {
		return nil // without a VPC, nothing learned counts
	}
	if err == nil {
		v.Generation = newGeneration()
		err = s.vpcs.put(vni, v)
	}
	return naming(err, "void what was learned in VPC", vni)
}

// Get returns a VPC, its dividers sorted.
func (t *VPCs) Get(vni uint32) (v VPC, err error) {
	err = t.s.look(func() error {
		if err := checkVNI(vni); err != nil {
			return err
		}
		row, err := t.s.vpcs.get(vni)
		if err == nil {
			v, err = t.convert(vni, row)
		}
		return err
	})
	return v, naming(err, "get VPC", vni)
}

func (t *VPCs) convert(vni uint32, row bpf.TableVpc) (VPC, error) {
	v, dividers, err := consistent(t.s, row, func(r bpf.TableVpc) uint32 { return r.Set },
		func() (bpf.TableVpc, error) { return t.s.vpcs.get(vni) })
	return VPC{
		VNI:          vni,
		Dividers:     dividers,
		NoDirectPath: v.Flags&bpf.TableVpcFlagsVPC_NO_DIRECT != 0,
		Cookie:       v.Cookie,
	}, err
}

// Delete removes a VPC and voids what was learned in it. Its networks and endpoints stay, and what is
// sent there is still taken to endpoints that Endpoints knows.
func (t *VPCs) Delete(vni uint32) error {
	return naming(t.deleteAll([]uint32{vni}), "delete VPC", vni)
}

// DeleteAll is Delete for many. It deletes all that are there; if one was not, the error is [ErrNotFound].
func (t *VPCs) DeleteAll(vnis []uint32) error {
	return naming(t.deleteAll(vnis), "delete", "VPCs")
}

func (t *VPCs) deleteAll(vnis []uint32) error {
	for _, vni := range vnis {
		if err := checkVNI(vni); err != nil {
			return of(err, len(vnis), vni)
		}
	}
	vnis = lastOf(vnis, func(vni uint32) uint32 { return vni })
	return t.s.change(func() error {
		defer t.s.sets.tidy()
		var gone absent
		for _, vni := range vnis {
			row, err := t.s.vpcs.get(vni)
			if err == nil {
				err = t.s.vpcs.delete(vni)
			}
			if errors.Is(err, ErrNotFound) {
				gone.note(vni)
				continue
			}
			if err != nil {
				return err
			}
			t.s.sets.release(row.Set)
		}
		return gone.err(len(vnis))
	})
}

// All iterates over the VPCs.
func (t *VPCs) All() iter.Seq2[VPC, error] {
	return allRows(t.s, "VPCs", t.s.vpcs, t.convert)
}
