// SPDX-License-Identifier: Apache-2.0

package plumb

import (
	"cmp"
	"context"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/examples/transitd/internal/ovs"
)

// AddPort makes a port, or changes the one of that name that we made. The host's side is down until
// [Plumber.OpenPort]: what the workload sends shall not get into the host before there is an agent.
//
// Neither end has IPv6 or ARP of the host's own. Towards a datapath in user space (netdev), packets are whole:
// the host's side computes checksums and segments, and the other end does not put segments together.
func (p *Plumber) AddPort(ctx context.Context, t Port) (Outcome, error) {
	return p.apply(ctx, "add port "+t.HostInterface, false, func(ctx context.Context) (*plan, error) {
		return p.planPort(ctx, t, nil)
	})
}

// CheckPort says what [Plumber.AddPort] would do.
func (p *Plumber) CheckPort(ctx context.Context, t Port) (Outcome, error) {
	return p.apply(ctx, "check port "+t.HostInterface, true, func(ctx context.Context) (*plan, error) {
		return p.planPort(ctx, t, nil)
	})
}

// planPort is what there is to do. Where it is known how Open vSwitch has the port, that is not looked up.
func (p *Plumber) planPort(ctx context.Context, t Port, known *ovs.Status) (*plan, error) {
	if err := t.validate(); err != nil {
		return nil, err
	}
	at, err := p.place(ctx, t)
	if err != nil {
		return nil, err
	}
	host, err := p.find(t.HostInterface)
	if err != nil {
		return nil, err
	}
	if host != nil && (host.Type() != "veth" || !p.ours(host, roleHost)) {
		return nil, fmt.Errorf("interface %s: %w", t.HostInterface, ErrNotOurs)
	}
	end, err := p.find(t.end())
	if err != nil {
		return nil, err
	}
	if err := p.paired(t, host, end); err != nil {
		return nil, err
	}
	to := &plan{}
	there := host != nil
	if !there {
		blank := netlink.NewLinkAttrs()
		blank.MTU = cmp.Or(t.MTU, at.mtu)
		host, end = &netlink.Veth{LinkAttrs: blank}, &netlink.Veth{LinkAttrs: blank}
		to.then("create", func() error { return p.createVeth(t, blank.MTU) }, func() error { return p.remove(t.HostInterface) })
	}
	p.mark(to, t.HostInterface, host.Attrs().Alias, roleHost)
	// That it is at Open vSwitch is written down before it is, and until it is not any more.
	leaves := there && at.role != roleOVS
	if !leaves {
		p.mark(to, t.end(), end.Attrs().Alias, at.role)
	}
	for _, side := range []struct {
		name string
		now  netlink.Link
	}{{t.HostInterface, host}, {t.end(), end}} {
		if err := p.sysctl(to, side.name, "disable_ipv6", "1", there); err != nil {
			return nil, err
		}
		if now, want := side.now.Attrs().MTU, cmp.Or(t.MTU, at.mtu); now != want {
			p.setMTU(to, side.name, now, want)
		}
	}
	if end.Attrs().RawFlags&unix.IFF_NOARP == 0 {
		to.then("no ARP", p.on(t.end(), p.netlink.LinkSetARPOff), p.on(t.end(), p.netlink.LinkSetARPOn))
	}
	if err := p.planWhole(to, t, at, end, there); err != nil {
		return nil, err
	}
	if known == nil {
		if err := p.planPlace(ctx, to, t, end, there); err != nil {
			return nil, err
		}
	}
	if leaves {
		p.mark(to, t.end(), end.Attrs().Alias, at.role)
	}
	if end.Attrs().Flags&net.FlagUp == 0 {
		to.then("up", p.on(t.end(), p.netlink.LinkSetUp), p.on(t.end(), p.netlink.LinkSetDown))
	}
	return to.settle(there), nil
}

// paired sees that the two ends are each other's, or both names free.
func (p *Plumber) paired(t Port, host, end netlink.Link) error {
	switch {
	case host == nil && end == nil:
		return nil
	case host == nil:
		return fmt.Errorf("interface %s: %w", t.end(), ErrExists)
	case end == nil || host.Attrs().ParentIndex != end.Attrs().Index || !p.ours(end, rolePort, roleOVS):
		return fmt.Errorf("interface %s: its other end is not %s, remove it first: %w", t.HostInterface, t.end(), ErrExists)
	}
	return nil
}

func (p *Plumber) createVeth(t Port, mtu int) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.HardwareAddr = t.HostInterface, mtu, p.mac(roleHost, t.HostInterface)
	pair := netlink.NewVeth(attrs)
	pair.PeerName, pair.PeerMTU, pair.PeerHardwareAddr = t.end(), uint32(mtu), p.mac(rolePort, t.end())
	return p.netlink.LinkAdd(pair)
}

func (p *Plumber) setMTU(to *plan, name string, now, want int) {
	set := func(mtu int) func() error {
		return p.on(name, func(l netlink.Link) error { return p.netlink.LinkSetMTU(l, mtu) })
	}
	to.then("MTU of "+name, set(want), set(now))
}
