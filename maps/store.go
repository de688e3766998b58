// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"errors"
	"net/netip"
	"sync"

	"github.com/mizar-go/mizar/bpf"
)

// store is what the typed tables share: the kernel's tables, and what a writer has to know beside them.
type store struct {
	settings  table[uint32, bpf.TableSettings]
	droplets  table[uint32, bpf.TableDroplet]
	addresses table[bpf.TableAddress, uint32]
	agents    table[uint32, bpf.TableAgent]
	endpoints table[bpf.TableEndpointKey, bpf.TableEndpoint]
	vpcs      table[uint32, bpf.TableVpc]
	directs   table[bpf.TableEndpointKey, bpf.TableDirect]
	paths     table[bpf.TableAddress, bpf.TablePath]
	epochs    table[bpf.TableEpoch, uint64]
	chains    table[bpf.TableChainKey, bpf.TableChains]
	reasons   table[uint32, bpf.TableReasonName]
	restore   table[uint32, bpf.TableRestore]
	allowed   table[bpf.TableAllowedKey, uint32]
	networks  trie[bpf.TableNetworkKey, bpf.TableNetwork]
	peers     trie[bpf.TablePeerKey, bpf.TablePeer]
	maps      *bpf.Tables

	readOnly bool

	// mu is held over every change and, by readers, over what has to fit together.
	mu     sync.RWMutex
	closed bool
	sets   *sets
	slots  *slots                 // nil: read-only
	stages *stages                // nil: read-only
	own    ownAddrs               // rows of addresses
	allow  map[int][]netip.Prefix // by ifindex, sorted: keys of allowed
}

func newStore(t *bpf.Tables, readOnly bool) *store {
	s := &store{
		settings:  table[uint32, bpf.TableSettings]{t.Settings},
		droplets:  table[uint32, bpf.TableDroplet]{t.Droplets},
		addresses: table[bpf.TableAddress, uint32]{t.Addresses},
		agents:    table[uint32, bpf.TableAgent]{t.Agents},
		endpoints: table[bpf.TableEndpointKey, bpf.TableEndpoint]{t.Endpoints},
		vpcs:      table[uint32, bpf.TableVpc]{t.VPCs},
		directs:   table[bpf.TableEndpointKey, bpf.TableDirect]{t.Directs},
		paths:     table[bpf.TableAddress, bpf.TablePath]{t.Paths},
		epochs:    table[bpf.TableEpoch, uint64]{t.Epochs},
		chains:    table[bpf.TableChainKey, bpf.TableChains]{t.Chains},
		reasons:   table[uint32, bpf.TableReasonName]{t.Reasons},
		restore:   table[uint32, bpf.TableRestore]{t.Restore},
		allowed:   table[bpf.TableAllowedKey, uint32]{t.Allowed},
		maps:      t,
		readOnly:  readOnly,
		sets:      newSets(t.Sets),
	}
	s.networks.m, s.peers.m = t.Networks, t.Peers
	return s
}

// change runs f as the only writer, with no reader beside it. When it returns, programs go by what f wrote.
func (s *store) change(f func() error) (err error) {
	if s.readOnly {
		return ErrReadOnly
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	defer func() {
		if failed := s.nextEpoch(); failed != nil {
			err = errors.Join(err, failed)
		}
	}()
	return f()
}

// close is the last change. It may be called again.
func (s *store) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.readOnly {
		s.closed = true
		return nil
	}
	s.closed = true
	return s.sets.flush()
}

// look runs f while nobody here writes. Another process may.
func (s *store) look(f func() error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return ErrClosed
	}
	return f()
}
