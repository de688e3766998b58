// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"context"
	"fmt"

	"github.com/mizar-go/mizar/maps"
)

// claimed stands for an ifindex that is not known yet.
const claimed = -1

// lock waits until nobody else works on the host interface of that name.
func (m *Manager) lock(ctx context.Context, name string) (unlock func(), err error) {
	for {
		m.mu.Lock()
		busy, ok := m.names[name]
		if !ok {
			done := make(chan struct{})
			m.names[name] = done
			m.mu.Unlock()
			return func() {
				m.mu.Lock()
				delete(m.names, name)
				m.mu.Unlock()
				close(done)
			}, nil
		}
		m.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// worked tells whether somebody works on the host interface.
func (m *Manager) worked(name string) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	_, ok := m.names[name]
	return ok
}

// claim takes addresses for an endpoint that is to be made. It fails if one of them is on this host, or
// claimed. Until [Manager.settle] nobody else writes their rows.
func (m *Manager) claim(keys []maps.EndpointKey) error {
	if err := m.load(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range keys {
		if ifindex, ok := m.local[k]; ok {
			return fmt.Errorf("address %s: %s: %w", k.Addr, whose(ifindex), maps.ErrExists)
		}
	}
	for _, k := range keys {
		m.local[k] = claimed
	}
	return nil
}

// settle ends a claim: the addresses are at that interface, or free (0).
func (m *Manager) settle(keys []maps.EndpointKey, ifindex int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range keys {
		if ifindex == 0 {
			delete(m.local, k)
		} else {
			m.local[k] = ifindex
		}
	}
}

// at lists the addresses of an interface.
func (m *Manager) at(ifindex int) ([]maps.EndpointKey, error) {
	if err := m.load(); err != nil {
		return nil, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	var keys []maps.EndpointKey
	for k, i := range m.local {
		if i == ifindex {
			keys = append(keys, k)
		}
	}
	return keys, nil
}

// settled are the addresses of this host, and where they are, but for those that are claimed.
func (m *Manager) settled() (map[maps.EndpointKey]int, error) {
	if err := m.load(); err != nil {
		return nil, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	all := make(map[maps.EndpointKey]int, len(m.local))
	for k, ifindex := range m.local {
		if ifindex != claimed {
			all[k] = ifindex
		}
	}
	return all, nil
}

// load reads, once, which addresses are on this host. A table of a million takes some 100 ms.
func (m *Manager) load() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.local != nil {
		return nil
	}
	local := make(map[maps.EndpointKey]int)
	for row, err := range m.tables.Endpoints.All() {
		if err != nil {
			return fmt.Errorf("read endpoints: %w", err)
		}
		if row.Ifindex != 0 {
			local[row.Key()] = row.Ifindex
		}
	}
	m.local = local
	return nil
}

// whose says where an address of this host is.
func whose(ifindex int) string {
	if ifindex == claimed {
		return "an endpoint is being made with it"
	}
	return fmt.Sprintf("it lives on this host, at interface %d", ifindex)
}
