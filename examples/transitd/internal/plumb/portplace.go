// SPDX-License-Identifier: Apache-2.0

package plumb

import (
	"context"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"

	"github.com/mizar-go/mizar/dataplane"
	"github.com/mizar-go/mizar/examples/transitd/internal/ovs"
)

// place is where a port goes.
type place struct {
	mtu       int
	role      role
	userspace bool
}

// place looks at the bridge.
func (p *Plumber) place(ctx context.Context, t Port) (at place, err error) {
	name := t.Bridge
	if t.OVS != nil {
		if p.OVS == nil {
			return at, fmt.Errorf("%w: it is not configured", ovs.ErrUnavailable)
		}
		bridge, err := p.OVS.Bridge(ctx, t.OVS.Bridge)
		if err != nil {
			return at, err
		}
		at.role, at.userspace, name = roleOVS, bridge.Userspace, bridge.Name
	} else {
		at.role = rolePort
	}
	l, err := p.find(name)
	if err != nil {
		return at, err
	}
	at.mtu = kernelMTU
	switch {
	case l != nil && (t.OVS != nil || l.Type() == "bridge"):
		at.mtu = l.Attrs().MTU
	case t.OVS != nil: // its own interface has another name
	case l == nil:
		return at, fmt.Errorf("bridge %s: %w", name, ErrNotFound)
	default:
		return at, invalid("interface %s: it is a %s, no bridge", name, l.Type())
	}
	return at, nil
}

// planPlace has the end be at its bridge, and at no other.
func (p *Plumber) planPlace(ctx context.Context, to *plan, t Port, end netlink.Link, there bool) error {
	from, err := p.masterOf(end)
	if err != nil {
		return err
	}
	if t.OVS == nil {
		if err := p.leaveOVS(ctx, to, t, end); err != nil {
			return err
		}
		if from != t.Bridge {
			p.plug(to, t.end(), t.Bridge, from)
		}
		return p.planQuiet(to, t, end, from == t.Bridge)
	}
	if from != "" && from != ovsSystem {
		p.plug(to, t.end(), "", from)
	}
	want := ovs.Port{Bridge: t.OVS.Bridge, Name: t.end(), Tag: t.OVS.Tag, Workload: t.OVS.Workload, Host: t.HostInterface}
	was, err := p.OVS.Find(ctx, t.HostInterface)
	if err != nil {
		return err
	}
	if was != nil && !there { // of an interface that is gone
		to.steps = append(to.steps, step{"unplug", func(ctx context.Context) error {
			return gone(p.OVS.Remove(ctx, was.Name))
		}, nil})
	} else if changes, err := p.OVS.Check(ctx, want); err != nil || !changes {
		return err
	}
	to.steps = append(to.steps, step{"plug " + t.end(), func(ctx context.Context) error {
		_, err := p.OVS.Add(ctx, want)
		return err
	}, func(ctx context.Context) error {
		if was != nil && there {
			_, err := p.OVS.Add(ctx, *was)
			return err
		}
		return gone(p.OVS.Remove(ctx, t.end()))
	}})
	return nil
}

// ovsSystem is the master of ports of the kernel's datapath.
const ovsSystem = "ovs-system"

func (p *Plumber) masterOf(l netlink.Link) (string, error) {
	if l.Attrs().MasterIndex == 0 {
		return "", nil
	}
	m, err := p.netlink.LinkByIndex(l.Attrs().MasterIndex)
	if err != nil {
		return "", err
	}
	return m.Attrs().Name, nil
}

// leaveOVS takes a port that goes to a Linux bridge from Open vSwitch. Where that is away, one that was never there has
// nothing to leave.
func (p *Plumber) leaveOVS(ctx context.Context, to *plan, t Port, end netlink.Link) error {
	if p.OVS == nil {
		return nil
	}
	was, err := p.OVS.Find(ctx, t.HostInterface)
	if silent(err) && !p.ours(end, roleOVS) || err == nil && was == nil {
		return nil
	}
	if err != nil {
		return err
	}
	to.steps = append(to.steps, step{"unplug " + was.Name, func(ctx context.Context) error {
		return gone(p.OVS.Remove(ctx, was.Name))
	}, func(ctx context.Context) error {
		_, err := p.OVS.Add(ctx, *was)
		return err
	}})
	return nil
}

// silent tells whether Open vSwitch says nothing, at all or to us: it may be another user's. Who needs it hears of that;
// others go on.
func silent(err error) bool {
	return errors.Is(err, ovs.ErrUnavailable) || errors.Is(err, dataplane.ErrPermission)
}

// gone takes what is not there for removed.
func gone(err error) error {
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}
