// SPDX-License-Identifier: Apache-2.0

package plumb

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Bridge is a Linux bridge.
type Bridge struct {
	Name string
	// MTU in bytes. Zero: the kernel's default, which is the smallest of its ports', or 1500. [Plumber.Bridges]
	// tells what it is.
	MTU int
	// Ports are interfaces that become its ports; they have to be there. [Plumber.Bridges] tells those that we
	// made ports of it, sorted; endpoints' ports (see [Port]) are not among them.
	Ports []string
}

const (
	kernelMTU   = 1500
	maxMTU      = 65535
	addrGenNone = 1 // IN6_ADDR_GEN_MODE_NONE
)

func (b Bridge) validate() error {
	if !interfaceName(b.Name) {
		return invalid("no name for one")
	}
	if b.MTU != 0 && (b.MTU < 68 || b.MTU > maxMTU) {
		return invalid("MTU %d: not 68 to %d", b.MTU, maxMTU)
	}
	seen := map[string]bool{b.Name: true}
	for _, name := range b.Ports {
		if !interfaceName(name) || seen[name] {
			return invalid("port %q: no name for one, or twice", name)
		}
		seen[name] = true
	}
	return nil
}

// AddBridge makes a bridge, or changes the one of that name that we made. It is up, has no IPv6 address that
// nobody asked for, and no multicast snooping: with that, a querier on the bridge would keep neighbour
// solicitations from endpoints, which join no group. Spanning tree is off, as the kernel has it.
//
// A port that is at the bridge by other hands is fine. One that is at another bridge is [ErrInUse].
func (p *Plumber) AddBridge(ctx context.Context, b Bridge) (Outcome, error) {
	return p.apply(ctx, "add bridge "+b.Name, false, func(context.Context) (*plan, error) { return p.planBridge(b) })
}

// CheckBridge says what [Plumber.AddBridge] would do.
func (p *Plumber) CheckBridge(ctx context.Context, b Bridge) (Outcome, error) {
	return p.apply(ctx, "check bridge "+b.Name, true, func(context.Context) (*plan, error) { return p.planBridge(b) })
}

func (p *Plumber) planBridge(b Bridge) (*plan, error) {
	if err := b.validate(); err != nil {
		return nil, err
	}
	l, err := p.find(b.Name)
	if err != nil {
		return nil, err
	}
	to := &plan{}
	now := netlink.NewLinkAttrs()
	br, isBridge := l.(*netlink.Bridge)
	switch {
	case l == nil:
		to.then("create", func() error { return p.createBridge(b.Name) }, func() error { return p.remove(b.Name) })
	case !isBridge || !p.ours(l, roleBridge):
		return nil, fmt.Errorf("interface %s: %w", b.Name, ErrNotOurs)
	default:
		now = *l.Attrs()
		if br.MulticastSnooping != nil && *br.MulticastSnooping {
			snoop := func(on bool) func() error {
				return p.on(b.Name, func(l netlink.Link) error { return p.netlink.BridgeSetMcastSnoop(l, on) })
			}
			to.then("snooping", snoop(false), snoop(true))
		}
	}
	p.mark(to, b.Name, now.Alias, roleBridge)
	if err := p.sysctl(to, b.Name, "accept_ra", "0", l != nil); err != nil {
		return nil, err
	}
	if err := p.planPorts(to, b, now.Index); err != nil {
		return nil, err
	}
	if err := p.planMTU(to, b, l); err != nil {
		return nil, err
	}
	if now.Flags&net.FlagUp == 0 {
		to.then("up", p.on(b.Name, p.netlink.LinkSetUp), p.on(b.Name, p.netlink.LinkSetDown))
	}
	return to.settle(l != nil), nil
}

func (p *Plumber) createBridge(name string) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.HardwareAddr = name, p.mac(roleBridge, name)
	off := false
	if err := p.netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &off}); err != nil {
		return err
	}
	return p.on(name, p.noAddress)()
}

// noAddress keeps the kernel from giving an interface an IPv6 address by itself.
func (p *Plumber) noAddress(l netlink.Link) error {
	err := p.netlink.LinkSetIP6AddrGenMode(l, addrGenNone)
	if is(err, unix.EAFNOSUPPORT, unix.EOPNOTSUPP, unix.EINVAL) { // no IPv6 here at all
		return nil
	}
	return err
}

// planMTU has the bridge's be what is wanted. One that was never set follows its ports by itself.
func (p *Plumber) planMTU(to *plan, b Bridge, l netlink.Link) error {
	set := func(mtu int) func() error {
		return p.on(b.Name, func(l netlink.Link) error { return p.netlink.LinkSetMTU(l, mtu) })
	}
	switch {
	case l == nil && b.MTU == 0:
	case l == nil:
		to.then("MTU", set(b.MTU), nil)
	default:
		want := b.MTU
		if want == 0 {
			all, err := p.links()
			if err != nil {
				return err
			}
			want = p.smallest(all, l.Attrs().Index, b)
		}
		if now := l.Attrs().MTU; now != want {
			to.then("MTU", set(want), set(now))
		}
	}
	return nil
}

// smallest is the MTU that the kernel gives a bridge with its ports as they will be: those that it has to have, and
// those that others gave it.
func (p *Plumber) smallest(all []netlink.Link, index int, b Bridge) int {
	mtu := 0
	for _, l := range all {
		a := l.Attrs()
		stays := a.MasterIndex == index && !slices.Contains(a.AltNames, p.portMark(b.Name, a.Index))
		if (stays || slices.Contains(b.Ports, a.Name)) && (mtu == 0 || a.MTU < mtu) {
			mtu = a.MTU
		}
	}
	return cmp.Or(mtu, kernelMTU)
}

// RemoveBridge removes a bridge that we made, and lets go of the ports that we gave it. One with other ports is
// [ErrInUse].
func (p *Plumber) RemoveBridge(ctx context.Context, name string) error {
	_, err := p.apply(ctx, "remove bridge "+name, false, func(context.Context) (*plan, error) {
		return p.planNoBridge(name)
	})
	return err
}

func (p *Plumber) planNoBridge(name string) (*plan, error) {
	to := &plan{}
	l, err := p.find(name)
	if err != nil {
		return nil, err
	}
	if l == nil {
		return nil, ErrNotFound
	}
	if !p.ours(l, roleBridge) {
		return nil, fmt.Errorf("somebody else made it: %w", ErrNotFound)
	}
	all, err := p.links()
	if err != nil {
		return nil, err
	}
	index := l.Attrs().Index
	for _, port := range all {
		a := port.Attrs()
		if a.MasterIndex == index && !slices.Contains(a.AltNames, p.portMark(name, a.Index)) {
			return nil, fmt.Errorf("port %s is at it: %w", a.Name, ErrInUse)
		}
	}
	if err := p.planPorts(to, Bridge{Name: name}, index); err != nil {
		return nil, err
	}
	to.then("delete", func() error { return p.remove(name) }, nil)
	return to, nil
}

// Bridges lists the bridges that we made, sorted by name.
func (p *Plumber) Bridges(ctx context.Context) ([]Bridge, error) {
	return list(p, ctx, "bridges", func() ([]Bridge, error) {
		links, err := p.links()
		if err != nil {
			return nil, err
		}
		var all []Bridge
		for _, l := range links {
			if l.Type() != "bridge" || !p.ours(l, roleBridge) {
				continue
			}
			b := Bridge{Name: l.Attrs().Name, MTU: l.Attrs().MTU}
			for _, port := range links {
				a := port.Attrs()
				if a.MasterIndex == l.Attrs().Index && slices.Contains(a.AltNames, p.portMark(b.Name, a.Index)) {
					b.Ports = append(b.Ports, a.Name)
				}
			}
			slices.Sort(b.Ports)
			all = append(all, b)
		}
		slices.SortFunc(all, func(a, b Bridge) int { return cmp.Compare(a.Name, b.Name) })
		return all, nil
	})
}
