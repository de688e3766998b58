// SPDX-License-Identifier: Apache-2.0

package plumb

import (
	"cmp"
	"context"
	"net"
	"slices"

	"github.com/vishvananda/netlink"

	"github.com/mizar-go/mizar/examples/transitd/internal/ovs"
)

// Ports lists the ports that we made, sorted by host interface. Where Open vSwitch is away, its ports are there
// without saying where, and not whole.
func (p *Plumber) Ports(ctx context.Context) ([]PortStatus, error) {
	return list(p, ctx, "ports", func() ([]PortStatus, error) {
		links, err := p.links()
		if err != nil {
			return nil, err
		}
		var plugged []ovs.Status
		if p.OVS != nil {
			if plugged, err = p.OVS.Ports(ctx); err != nil && !silent(err) {
				return nil, err
			}
		}
		var all []PortStatus
		for _, l := range links {
			if l.Type() == "veth" && p.ours(l, roleHost) {
				s, err := p.portStatus(ctx, l, plugged)
				if err != nil {
					return nil, err
				}
				all = append(all, s)
			}
		}
		for _, o := range plugged { // whose interface is gone
			if o.Host != "" && !slices.ContainsFunc(all, func(s PortStatus) bool { return s.HostInterface == o.Host }) {
				all = append(all, PortStatus{Port: Port{HostInterface: o.Host, Interface: o.Name, OVS: ovsPort(o)}})
			}
		}
		slices.SortFunc(all, func(a, b PortStatus) int { return cmp.Compare(a.HostInterface, b.HostInterface) })
		return all, nil
	})
}

func ovsPort(o ovs.Status) *OVSPort { return &OVSPort{o.Bridge, o.Tag, o.Workload} }

func (p *Plumber) portStatus(ctx context.Context, host netlink.Link, plugged []ovs.Status) (PortStatus, error) {
	a := host.Attrs()
	s := PortStatus{Port: Port{HostInterface: a.Name, MTU: a.MTU}, Up: a.Flags&net.FlagUp != 0}
	end, err := p.otherEnd(host)
	if err != nil || end == nil {
		return s, err
	}
	s.Interface = end.Attrs().Name
	var known *ovs.Status
	if i := slices.IndexFunc(plugged, func(o ovs.Status) bool { return o.Host == a.Name }); i >= 0 {
		known = &plugged[i]
		s.OVS = ovsPort(*known)
	} else if master, err := p.masterOf(end); err != nil {
		return s, err
	} else if master != ovsSystem {
		s.Bridge = master
	}
	if s.validate() != nil {
		return s, nil
	}
	plan, err := p.planPort(ctx, s.Port, known)
	if err != nil && ctx.Err() != nil {
		return s, err
	}
	s.Whole = err == nil && len(plan.steps) == 0 && (known == nil || known.Wired && known.Error == "")
	return s, nil
}

// otherEnd is the end at the bridge; nil where it is not here.
func (p *Plumber) otherEnd(host netlink.Link) (netlink.Link, error) {
	if host == nil {
		return nil, nil
	}
	all, err := p.links()
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(l netlink.Link) bool {
		return l.Attrs().Index == host.Attrs().ParentIndex && l.Attrs().ParentIndex == host.Attrs().Index
	})
	if i < 0 {
		return nil, nil
	}
	return all[i], nil
}
