// SPDX-License-Identifier: Apache-2.0

package plumb

import (
	"fmt"
	"net/netip"
)

// Interface is what one of the host's is like, whoever made it so.
type Interface struct {
	MTU   int // in bytes
	Addrs []netip.Addr
}

// Interface looks at one. There is none: [ErrNotFound].
func (p *Plumber) Interface(name string) (is Interface, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer func() {
		if err != nil {
			err = fmt.Errorf("look at interface %s: %w", name, explain(err))
		}
	}()
	l, err := p.link(name)
	if err != nil {
		return is, err
	}
	is.MTU = l.Attrs().MTU
	rows, err := p.addresses()
	for _, row := range rows {
		if row.ifindex == l.Attrs().Index {
			is.Addrs = append(is.Addrs, row.prefix.Addr())
		}
	}
	return is, err
}

// Exists tells whether there is an interface of a name, whoever made it.
func (p *Plumber) Exists(name string) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l, err := p.find(name)
	return l != nil, explain(err)
}
