// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"errors"
	"iter"
	"net/netip"
	"time"

	"github.com/mizar-go/mizar/bpf"
)

// Direct is a learned host of an endpoint: packets to it take the direct path.
type Direct struct {
	VNI  uint32        // of the VPC
	Addr netip.Addr    // in the VPC
	Host netip.Addr    // on the underlay
	Idle time.Duration // since the last packet from there
}

// Directs are what packets taught. Only those that are still believed are shown.
type Directs struct{ s *store }

// Get returns what was learned of an endpoint.
func (t *Directs) Get(key EndpointKey) (d Direct, err error) {
	err = t.s.look(func() error {
		if err := key.validate(); err != nil {
			return err
		}
		k := toEndpointKey(key)
		row, err := t.s.directs.get(k)
		if err == nil {
			d, err = t.convert(k, row)
		}
		return err
	})
	return d, naming(err, "get learned host of", key)
}

// convert gives [ErrNotFound] for what programs would not believe: learned before the VPC was deleted or
// one of its networks was, in a VPC that has no direct path now, or too long ago.
func (t *Directs) convert(k bpf.TableEndpointKey, row bpf.TableDirect) (Direct, error) {
	settings, err := t.s.settings.get(0)
	if err != nil {
		return Direct{}, err
	}
	vpc, err := t.s.vpcs.get(k.Vni)
	if err != nil {
		return Direct{}, err
	}
	now, err := monotonic()
	if err != nil {
		return Direct{}, err
	}
	key, idle := fromEndpointKey(k), max(0, now-time.Duration(row.Seen))
	if row.Flags&bpf.TableDirectFlagsDIRECT_GONE != 0 ||
		row.Generation != vpc.Generation || vpc.Flags&bpf.TableVpcFlagsVPC_NO_DIRECT != 0 ||
		idle > time.Duration(settings.DirectAgeNs) {
		return Direct{}, ErrNotFound
	}
	return Direct{VNI: key.VNI, Addr: key.Addr, Host: fromWire(row.Host), Idle: idle}, nil
}

// Delete forgets what was learned of an endpoint.
func (t *Directs) Delete(key EndpointKey) error {
	return naming(t.s.change(func() error {
		if err := key.validate(); err != nil {
			return err
		}
		return t.s.directs.delete(toEndpointKey(key))
	}), "forget learned host of", key)
}

// All iterates over what was learned.
func (t *Directs) All() iter.Seq2[Direct, error] {
	return allRows(t.s, "learned hosts", t.s.directs, t.convert)
}

// manyKeys is from where on reading the whole table is cheaper than asking for each key.
const manyKeys = 4096

// forget deletes what was learned of these endpoints.
func (s *store) forget(keys []bpf.TableEndpointKey) error {
	return s.eachLearned(keys, s.directs.delete)
}

// outdate voids what was learned of these endpoints. The hosts may still return what is under way to them.
func (s *store) outdate(keys []bpf.TableEndpointKey) error {
	return s.eachLearned(keys, func(k bpf.TableEndpointKey) error {
		row, err := s.directs.get(k)
		if err != nil || row.Flags&bpf.TableDirectFlagsDIRECT_GONE != 0 {
			return err
		}
		row.Flags |= bpf.TableDirectFlagsDIRECT_GONE
		return s.directs.put(k, row)
	})
}

// eachLearned calls f for those of the keys of which something may be learned.
func (s *store) eachLearned(keys []bpf.TableEndpointKey, f func(bpf.TableEndpointKey) error) error {
	if len(keys) > manyKeys {
		learned := map[bpf.TableEndpointKey]bool{}
		err := s.directs.each(func(k bpf.TableEndpointKey, _ bpf.TableDirect) error {
			learned[k] = true
			return nil
		})
		if err != nil {
			return naming(err, "forget", "learned hosts")
		}
		var some []bpf.TableEndpointKey
		for _, k := range keys {
			if learned[k] {
				some = append(some, k)
			}
		}
		keys = some
	}
	for _, k := range keys {
		if err := f(k); err != nil && !errors.Is(err, ErrNotFound) {
			return naming(err, "forget learned host of", fromEndpointKey(k))
		}
	}
	return nil
}

// expectReturns lets the host where an endpoint has been return what is under way to it: programs take that
// only from where they may have sent it. Of very many rows, packets in flight are not worth the time.
func (s *store) expectReturns(keys []bpf.TableEndpointKey, rows []bpf.TableEndpoint) error {
	if len(keys) > manyKeys {
		return nil
	}
	now, err := monotonic()
	if err != nil {
		return err
	}
	for i, k := range keys {
		old, err := s.endpoints.get(k)
		if errors.Is(err, ErrNotFound) || err == nil && (old.Ifindex != 0 || old.Host == rows[i].Host) {
			continue
		}
		if err != nil {
			return naming(err, "move endpoint", fromEndpointKey(k))
		}
		vpc, err := s.vpcs.get(k.Vni)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return naming(err, "move endpoint", fromEndpointKey(k))
		}
		row := bpf.TableDirect{Host: old.Host, Generation: vpc.Generation, Seen: uint64(now),
			Flags: bpf.TableDirectFlagsDIRECT_GONE}
		if err := s.directs.put(k, row); err != nil {
			return naming(err, "move endpoint", fromEndpointKey(k))
		}
	}
	return nil
}

// forgetStrangers deletes what was learned about hosts that are no peers.
func (s *store) forgetStrangers() error {
	known := map[bpf.TableAddress]bool{}
	var strangers []bpf.TableEndpointKey
	err := s.directs.each(func(k bpf.TableEndpointKey, d bpf.TableDirect) error {
		peer, ok := known[d.Host]
		if !ok {
			_, err := s.peers.match(bpf.TablePeerKey{Prefixlen: 128, Addr: d.Host})
			if err != nil && !errors.Is(err, ErrNotFound) {
				return err
			}
			peer = err == nil
			known[d.Host] = peer
		}
		if !peer {
			strangers = append(strangers, k)
		}
		return nil
	})
	if err != nil {
		return naming(err, "forget", "hosts that are no peers")
	}
	return s.forget(strangers)
}
