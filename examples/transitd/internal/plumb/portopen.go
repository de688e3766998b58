// SPDX-License-Identifier: Apache-2.0

package plumb

import (
	"context"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
)

// OpenPort sets the host's side of a port up, which has an agent now. Its traffic begins.
func (p *Plumber) OpenPort(ctx context.Context, hostInterface string) error {
	return p.setPort(ctx, "open", hostInterface, p.netlink.LinkSetUp)
}

// ShutPort sets it down, before its agent goes.
func (p *Plumber) ShutPort(ctx context.Context, hostInterface string) error {
	return p.setPort(ctx, "shut", hostInterface, p.netlink.LinkSetDown)
}

func (p *Plumber) setPort(ctx context.Context, verb, name string, set func(netlink.Link) error) error {
	_, err := p.apply(ctx, verb+" port "+name, false, func(context.Context) (*plan, error) {
		if _, err := p.ourPort(name); err != nil {
			return nil, err
		}
		to := &plan{}
		to.then(verb, p.on(name, set), nil)
		return to, nil
	})
	return err
}

// ourPort is the host's side of a port that we made.
func (p *Plumber) ourPort(name string) (netlink.Link, error) {
	l, err := p.link(name)
	if err != nil {
		return nil, err
	}
	if !p.ours(l, roleHost) {
		return nil, fmt.Errorf("somebody else made it: %w", ErrNotFound)
	}
	return l, nil
}

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
