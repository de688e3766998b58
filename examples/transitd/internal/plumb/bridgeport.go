// SPDX-License-Identifier: Apache-2.0

package plumb

import (
	"fmt"
	"slices"

	"github.com/vishvananda/netlink"
)

// planPorts gives a bridge the interfaces that it shall have, and lets go of those that we gave it before.
func (p *Plumber) planPorts(to *plan, b Bridge, bridge int) error {
	all, err := p.links()
	if err != nil {
		return err
	}
	for _, l := range all {
		a := l.Attrs()
		mark := p.portMark(b.Name, a.Index)
		marked := slices.Contains(a.AltNames, mark)
		if !marked || slices.Contains(b.Ports, a.Name) {
			continue
		}
		// Also one that lost, or never got, its place: only the mark is left to take away.
		if bridge != 0 && a.MasterIndex == bridge {
			p.plug(to, a.Name, "", b.Name)
		}
		p.note(to, a.Name, mark, false)
	}
	for _, name := range b.Ports {
		l, err := p.link(name)
		if err != nil {
			return err
		}
		a := l.Attrs()
		switch {
		case bridge != 0 && a.MasterIndex == bridge:
			continue
		case a.MasterIndex != 0:
			return fmt.Errorf("interface %s: it is at interface %d: %w", name, a.MasterIndex, ErrInUse)
		}
		if mark := p.portMark(b.Name, a.Index); !slices.Contains(a.AltNames, mark) {
			p.note(to, name, mark, true)
		}
		p.plug(to, name, b.Name, "")
	}
	return nil
}

// plug moves an interface from a bridge to another; empty: none.
func (p *Plumber) plug(to *plan, name, bridge, from string) {
	set := func(bridge string) func() error {
		return p.on(name, func(l netlink.Link) error {
			if bridge == "" {
				return p.netlink.LinkSetNoMaster(l)
			}
			br, err := p.link(bridge)
			if err != nil {
				return err
			}
			return p.netlink.LinkSetMaster(l, br)
		})
	}
	to.then("plug "+name, set(bridge), set(from))
}

// note gives an interface an alternative name, or takes it away.
func (p *Plumber) note(to *plan, name, mark string, on bool) {
	add := p.on(name, func(l netlink.Link) error {
		if slices.Contains(l.Attrs().AltNames, mark) {
			return nil
		}
		return p.netlink.LinkAddAltName(l, mark)
	})
	drop := p.on(name, func(l netlink.Link) error {
		if !slices.Contains(l.Attrs().AltNames, mark) {
			return nil
		}
		return p.netlink.LinkDelAltName(l, mark)
	})
	if on {
		to.then("note "+name, add, drop)
	} else {
		to.then("forget "+name, drop, add)
	}
}
