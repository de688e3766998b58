// SPDX-License-Identifier: Apache-2.0

package plumb

import (
	"fmt"
	"net/netip"
)

// AddressesOf are the addresses of an interface, whoever gave them. No such interface: [ErrNotFound].
func (p *Plumber) AddressesOf(name string) (all []netip.Addr, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer func() {
		if err != nil {
			err = fmt.Errorf("list addresses of %s: %w", name, explain(err))
		}
	}()
	l, err := p.link(name)
	if err != nil {
		return nil, err
	}
	rows, err := p.addresses()
	for _, row := range rows {
		if row.ifindex == l.Attrs().Index {
			all = append(all, row.prefix.Addr())
		}
	}
	return all, err
}
