// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"errors"
	"fmt"
	"iter"
	"net/netip"

	"github.com/mizar-go/mizar/bpf"
)

// Network is a prefix of a VPC and who takes what is sent there: exactly one of Bouncers, Via and
// Blackhole. The longest prefix counts. IPv4 is looked up as ::ffff:0:0/96: what no IPv4 network takes
// goes by ::/0 where there is one.
type Network struct {
	VNI          uint32       // 1 to 1<<24 - 1
	Prefix       netip.Prefix // masked
	Bouncers     []netip.Addr // hosts that know its endpoints, 64 at most, in any order
	Via          netip.Addr   // the endpoint that the prefix is behind
	Blackhole    bool         // what is sent there is dropped
	NoDirectPath bool         // nothing is learned about its addresses
	Cookie       uint64       // the caller's
}

// NetworkKey names a network.
type NetworkKey struct {
	VNI    uint32       // 1 to 1<<24 - 1
	Prefix netip.Prefix // masked
}

// Key is the network's name.
func (n Network) Key() NetworkKey { return NetworkKey{n.VNI, n.Prefix} }

// String is VNI/prefix.
func (k NetworkKey) String() string { return fmt.Sprintf("%d/%v", k.VNI, k.Prefix) }

func (k NetworkKey) validate() error {
	if err := checkVNI(k.VNI); err != nil {
		return err
	}
	return checkPrefix(k.Prefix)
}

func (n Network) validate() error {
	if err := n.Key().validate(); err != nil {
		return err
	}
	kinds := 0
	if len(n.Bouncers) > 0 {
		kinds++
	}
	if n.Via.IsValid() {
		kinds++
	}
	if n.Blackhole {
		kinds++
	}
	if kinds != 1 {
		return invalid("a network has either bouncers, an endpoint that it is behind, or is a black hole")
	}
	if n.Via.IsValid() {
		return checkAddr("endpoint", n.Via)
	}
	return checkHosts("bouncer", n.Bouncers)
}

// Networks are the prefixes of the VPCs.
type Networks struct{ s *store }

// Put adds a network, or replaces it. Where that ends the direct path to its addresses (it becomes a
// black hole, or is behind an endpoint, or NoDirectPath is set), what was learned in its VPC is void.
func (t *Networks) Put(row Network) error {
	return naming(t.putAll([]Network{row}), "put network", row.Key())
}

// PutAll is Put for many. If a row is invalid, nothing is written. Otherwise rows are written in order up
// to the first that fails, and stay. On kernels without the mend of end 2024 (6.1.120, 6.12.5, 6.13)
// [ErrFull] comes also where a full table would only replace a row.
func (t *Networks) PutAll(rows []Network) error {
	return naming(t.putAll(rows), "put", "networks")
}

func (t *Networks) putAll(rows []Network) error {
	for _, r := range rows {
		if err := r.validate(); err != nil {
			return of(err, len(rows), r.Key())
		}
	}
	rows = lastOf(rows, Network.Key)
	return t.s.change(func() error {
		defer t.s.sets.tidy()
		vnis := map[uint32]bool{}
		done, err := exchange(t.s.sets, len(rows), func(i int) (r referrer[bpf.TableNetworkKey, bpf.TableNetwork], err error) {
			r, void, err := t.prepare(rows[i])
			if void {
				vnis[rows[i].VNI] = true
			}
			return r, err
		}, func(keys []bpf.TableNetworkKey, values []bpf.TableNetwork) (int, error) {
			// Also before: what is learned is void even if this is killed in between, and where it cannot be
			// voided, nothing changes.
			if err := t.renewAll(vnis); err != nil {
				return 0, err
			}
			return t.s.networks.putAll(keys, values)
		})
		if err != nil {
			err = of(err, len(rows), rows[done].Key())
		}
		return progress(errors.Join(err, t.void(vnis)), done, len(rows))
	})
}

func (t *Networks) prepare(row Network) (r referrer[bpf.TableNetworkKey, bpf.TableNetwork], void bool, err error) {
	r.key = toNetworkKey(row.Key())
	old := t.s.networks.rows[r.key]
	r.from = old.Set
	if r.to, err = t.s.sets.acquire(row.Bouncers, t.s.own); err != nil {
		return r, false, err
	}
	r.value = bpf.TableNetwork{Set: r.to, Vni: row.VNI, Via: toWire(row.Via), Cookie: row.Cookie}
	switch {
	case row.Via.IsValid():
		r.value.Kind = bpf.TableNetworkKindNETWORK_ENDPOINT
	case row.Blackhole:
		r.value.Kind = bpf.TableNetworkKindNETWORK_BLACKHOLE
	default:
		r.value.Kind = bpf.TableNetworkKindNETWORK_BOUNCERS
	}
	if row.NoDirectPath {
		r.value.Flags |= bpf.TableNetworkFlagsNETWORK_NO_DIRECT
	}
	plain := r.value.Kind == bpf.TableNetworkKindNETWORK_BOUNCERS && r.value.Flags == 0
	same := r.value.Kind == old.Kind && r.value.Flags == old.Flags && r.value.Via == old.Via
	return r, !plain && !same, nil
}

// void waits for programs that have seen the networks as they were, and may be teaching still, before it
// voids what was learned.
func (t *Networks) void(vnis map[uint32]bool) error {
	if len(vnis) == 0 {
		return nil
	}
	if err := bpf.Grace(); err != nil {
		return err
	}
	return t.renewAll(vnis)
}

func (t *Networks) renewAll(vnis map[uint32]bool) error {
	for vni := range vnis {
		if err := t.s.renew(vni); err != nil {
			return err
		}
	}
	return nil
}

// Get returns the network of exactly this prefix, its bouncers sorted.
func (t *Networks) Get(key NetworkKey) (n Network, err error) {
	err = t.s.look(func() error {
		if err := key.validate(); err != nil {
			return err
		}
		k := toNetworkKey(key)
		row, err := t.s.networks.get(k)
		if err == nil {
			n, err = t.convert(k, row)
		}
		return err
	})
	return n, naming(err, "get network", key)
}

func (t *Networks) convert(key bpf.TableNetworkKey, row bpf.TableNetwork) (Network, error) {
	n, bouncers, err := consistent(t.s, row, func(r bpf.TableNetwork) uint32 { return r.Set },
		func() (bpf.TableNetwork, error) { return t.s.networks.get(key) })
	k := fromNetworkKey(key)
	return Network{
		VNI:          k.VNI,
		Prefix:       k.Prefix,
		Bouncers:     bouncers,
		Via:          fromWire(n.Via),
		Blackhole:    n.Kind == bpf.TableNetworkKindNETWORK_BLACKHOLE,
		NoDirectPath: n.Flags&bpf.TableNetworkFlagsNETWORK_NO_DIRECT != 0,
		Cookie:       n.Cookie,
	}, err
}

// Delete removes a network, and voids what was learned in its VPC: if that fails, the network stays.
func (t *Networks) Delete(key NetworkKey) error {
	return naming(t.deleteAll([]NetworkKey{key}), "delete network", key)
}

// DeleteAll is Delete for many. It deletes all that are there; if one was not, the error is [ErrNotFound].
func (t *Networks) DeleteAll(keys []NetworkKey) error {
	return naming(t.deleteAll(keys), "delete", "networks")
}

func (t *Networks) deleteAll(keys []NetworkKey) error {
	for _, k := range keys {
		if err := k.validate(); err != nil {
			return of(err, len(keys), k)
		}
	}
	keys = lastOf(keys, func(k NetworkKey) NetworkKey { return k })
	return t.s.change(func() error {
		defer t.s.sets.tidy()
		var gone absent
		var there []bpf.TableNetworkKey
		var rows []bpf.TableNetwork
		vnis := map[uint32]bool{}
		for _, k := range keys {
			w := toNetworkKey(k)
			row, ok := t.s.networks.rows[w]
			if !ok {
				gone.note(k)
				continue
			}
			there, rows = append(there, w), append(rows, row)
			vnis[k.VNI] = true
		}
		// First, so that nothing changes where this fails: a network that goes does not keep packets from
		// teaching, so there is nobody to wait for.
		if err := t.renewAll(vnis); err != nil {
			return err
		}
		err := t.s.networks.deleteAll(there, func(int) {})
		for i, k := range there {
			if _, ok := t.s.networks.rows[k]; !ok {
				t.s.sets.release(rows[i].Set)
			}
		}
		if err != nil {
			return err
		}
		return gone.err(len(keys))
	})
}

// All iterates over the networks as they are when it begins.
func (t *Networks) All() iter.Seq2[Network, error] {
	return allPrefixes(t.s, "networks", &t.s.networks, t.convert)
}
