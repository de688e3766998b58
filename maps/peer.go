// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"errors"
	"iter"
	"net/netip"

	"github.com/mizar-go/mizar/bpf"
)

// Peer is an underlay prefix that may send us tunnel packets.
type Peer struct {
	// Prefix is masked. One of IPv6 that takes in ::ffff:0:0/96, such as ::/0, would allow all of IPv4:
	// it is invalid. 2000::/3 is what is meant.
	Prefix netip.Prefix
	Cookie uint64 // the caller's
}

// Peers are who may send us tunnel packets. While there are none, no tunnel packet is taken.
type Peers struct{ s *store }

func checkPeer(p netip.Prefix) error {
	if err := checkPrefix(p); err != nil {
		return err
	}
	if coversIPv4(p) {
		return invalid("prefix %v takes in all of IPv4 (::ffff:0:0/96)", p)
	}
	return nil
}

// Put adds a peer, or replaces it.
func (t *Peers) Put(row Peer) error {
	return naming(t.putAll([]Peer{row}), "put peer", row.Prefix)
}

// PutAll is Put for many. If a row is invalid, nothing is written. Otherwise rows are written in order up
// to the first that fails, and stay. On kernels without the mend of end 2024 (6.1.120, 6.12.5, 6.13)
// [ErrFull] comes also where a full table would only replace a row.
func (t *Peers) PutAll(rows []Peer) error {
	return naming(t.putAll(rows), "put", "peers")
}

func (t *Peers) putAll(rows []Peer) error {
	for _, r := range rows {
		if err := checkPeer(r.Prefix); err != nil {
			return of(err, len(rows), r.Prefix)
		}
	}
	rows = lastOf(rows, func(r Peer) netip.Prefix { return r.Prefix })
	keys, values := make([]bpf.TablePeerKey, len(rows)), make([]bpf.TablePeer, len(rows))
	for i, r := range rows {
		keys[i], values[i] = toPeerKey(r.Prefix), bpf.TablePeer{Cookie: r.Cookie}
	}
	return t.s.change(func() error {
		done, err := t.s.peers.putAll(keys, values)
		if err != nil {
			err = of(err, len(rows), rows[done].Prefix)
		}
		return progress(err, done, len(rows))
	})
}

// Get returns the peer of exactly this prefix.
func (t *Peers) Get(prefix netip.Prefix) (p Peer, err error) {
	err = t.s.look(func() error {
		if err := checkPeer(prefix); err != nil {
			return err
		}
		row, err := t.s.peers.get(toPeerKey(prefix))
		p = Peer{prefix, row.Cookie}
		return err
	})
	if err != nil {
		return Peer{}, naming(err, "get peer", prefix)
	}
	return p, nil
}

// Delete removes a peer, and forgets what was learned about hosts that are nobody's peer any more.
func (t *Peers) Delete(prefix netip.Prefix) error {
	return naming(t.deleteAll([]netip.Prefix{prefix}), "delete peer", prefix)
}

// DeleteAll is Delete for many. It deletes all that are there; if one was not, the error is [ErrNotFound].
func (t *Peers) DeleteAll(prefixes []netip.Prefix) error {
	return naming(t.deleteAll(prefixes), "delete", "peers")
}

func (t *Peers) deleteAll(prefixes []netip.Prefix) error {
	for _, p := range prefixes {
		if err := checkPeer(p); err != nil {
			return of(err, len(prefixes), p)
		}
	}
	prefixes = lastOf(prefixes, func(p netip.Prefix) netip.Prefix { return p })
	keys := make([]bpf.TablePeerKey, len(prefixes))
	for i, p := range prefixes {
		keys[i] = toPeerKey(p)
	}
	return t.s.change(func() error {
		var gone absent
		err := t.s.peers.deleteAll(keys, func(i int) { gone.note(prefixes[i]) })
		if gone.n < len(keys) {
			// Programs that have seen the peers as they were may be teaching still.
			err = errors.Join(err, t.s.settled(), t.s.forgetStrangers())
		}
		if err != nil {
			return err
		}
		return gone.err(len(keys))
	})
}

// All iterates over the peers as they are when it begins.
func (t *Peers) All() iter.Seq2[Peer, error] {
	return allPrefixes(t.s, "peers", &t.s.peers, func(k bpf.TablePeerKey, v bpf.TablePeer) (Peer, error) {
		return Peer{fromPeerKey(k), v.Cookie}, nil
	})
}
