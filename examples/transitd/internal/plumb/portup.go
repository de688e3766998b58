// SPDX-License-Identifier: Apache-2.0

package plumb

import (
	"fmt"
	"net"
)

// PortIsUp tells whether the host's side of a port is, see [Plumber.OpenPort]. No such port of ours: [ErrNotFound].
func (p *Plumber) PortIsUp(hostInterface string) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l, err := p.ourPort(hostInterface)
	if err != nil {
		return false, fmt.Errorf("look at port %s: %w", hostInterface, explain(err))
	}
	return l.Attrs().Flags&net.FlagUp != 0, nil
}

// Exists tells whether there is an interface of a name, whoever made it.
func (p *Plumber) Exists(name string) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l, err := p.find(name)
	return l != nil, explain(err)
}
