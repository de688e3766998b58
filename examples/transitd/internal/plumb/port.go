// SPDX-License-Identifier: Apache-2.0

package plumb

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/dataplane"
	"github.com/mizar-go/mizar/examples/transitd/internal/ovs"
)

// Port is how an endpoint is at a bridge: a veth, with one end at the bridge and the other for the library to
// adopt, as the host's side of the endpoint. The workload is whatever else is at the bridge with the endpoint's
// MAC and addresses.
//
// Several endpoints may be at one Linux bridge. To all of them the rest of the VPC is behind one MAC, so the
// bridge learns nothing from their ports, and has no traffic between them. Where the host's firewall looks at
// bridged packets (net.bridge.bridge-nf-call-iptables), it has to let them pass.
type Port struct {
	// HostInterface is the end that the library adopts; the port's key.
	HostInterface string
	// Interface is the end at the bridge. Empty: one is made up. [Plumber.Ports] tells it.
	Interface string
	// Bridge is a Linux bridge, of anybody's making. Empty: OVS says where.
	Bridge string
	// MTU of both ends. Zero: the bridge's, which is best: a smaller one would become that of the bridge. What
	// the VPC leaves to the workload is the endpoint's MTU, which may be smaller.
	MTU int
	// OVS is a bridge of Open vSwitch. Nil: Bridge says where.
	OVS *OVSPort
}

// OVSPort says at which bridge of Open vSwitch, and how; see [ovs.Port].
type OVSPort struct {
	Bridge   string
	Tag      uint16 // the VLAN that it is an access port of; zero: none
	Workload string // the port that it is wired to; empty: the bridge's own flows decide
}

// PortStatus is a port as it is.
type PortStatus struct {
	Port
	// Up: the host's side is, see [Plumber.OpenPort].
	Up bool
	// Whole: nothing of it is missing. What is, [Plumber.AddPort] mends.
	Whole bool
}

// end is the name of the end at the bridge.
func (t Port) end() string {
	if t.Interface != "" {
		return t.Interface
	}
	return fmt.Sprintf("td%x", sha256.Sum256([]byte(t.HostInterface)))[:14]
}

func (t Port) validate() error {
	switch {
	case !interfaceName(t.HostInterface):
		return invalid("host interface %q: no name for one", t.HostInterface)
	case t.Interface != "" && !interfaceName(t.Interface), t.Interface == t.HostInterface:
		return invalid("interface %q: no name for one", t.Interface)
	case (t.Bridge == "") == (t.OVS == nil):
		return invalid("either a Linux bridge or one of Open vSwitch")
	case t.Bridge != "" && !interfaceName(t.Bridge):
		return invalid("bridge %q: no name for one", t.Bridge)
	case t.MTU != 0 && (t.MTU < 68 || t.MTU > maxMTU):
		return invalid("MTU %d: not 68 to %d", t.MTU, maxMTU)
	}
	return nil
}

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

// place is where a port goes.
type place struct {
	mtu       int
	role      role
	userspace bool
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
	p.mark(to, t.end(), end.Attrs().Alias, at.role)
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
	if end.Attrs().Flags&net.FlagUp == 0 {
		to.then("up", p.on(t.end(), p.netlink.LinkSetUp), p.on(t.end(), p.netlink.LinkSetDown))
	}
	return to.settle(there), nil
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

// planPlace has the end be at its bridge, and at no other.
func (p *Plumber) planPlace(ctx context.Context, to *plan, t Port, end netlink.Link, there bool) error {
	from, err := p.masterOf(end)
	if err != nil {
		return err
	}
	if t.OVS == nil {
		if err := p.leaveOVS(ctx, to, t); err != nil {
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

// leaveOVS takes a port that goes to a Linux bridge from Open vSwitch. Where that is away, it has nothing.
func (p *Plumber) leaveOVS(ctx context.Context, to *plan, t Port) error {
	if p.OVS == nil {
		return nil
	}
	was, err := p.OVS.Find(ctx, t.HostInterface)
	if silent(err) || err == nil && was == nil {
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

// RemovePort removes a port that we made, also one of which only a part is left. The endpoint is to be deleted
// before.
func (p *Plumber) RemovePort(ctx context.Context, hostInterface string) error {
	_, err := p.apply(ctx, "remove port "+hostInterface, false, func(ctx context.Context) (*plan, error) {
		return p.planNoPort(ctx, hostInterface)
	})
	return err
}

// CheckNoPort says what [Plumber.RemovePort] would fail for: Open vSwitch, that does not answer.
func (p *Plumber) CheckNoPort(ctx context.Context, hostInterface string) error {
	_, err := p.apply(ctx, "check port "+hostInterface, true, func(ctx context.Context) (*plan, error) {
		return p.planNoPort(ctx, hostInterface)
	})
	return err
}

func (p *Plumber) planNoPort(ctx context.Context, name string) (*plan, error) {
	l, err := p.ourPort(name)
	if err != nil && (!errors.Is(err, ErrNotFound) || p.OVS == nil) {
		return nil, err
	}
	missing := err
	end, err := p.otherEnd(l)
	if err != nil {
		return nil, err
	}
	var was *ovs.Port
	if p.OVS != nil {
		was, err = p.OVS.Find(ctx, name)
	}
	if err != nil && missing != nil {
		return nil, missing
	}
	if err != nil && end != nil && p.ours(end, roleOVS) {
		return nil, err // else its rows would stay, without an interface
	}
	to := &plan{}
	if was != nil {
		to.steps = append(to.steps, step{"unplug", func(ctx context.Context) error {
			return gone(p.OVS.Remove(ctx, was.Name))
		}, nil})
	} else if missing != nil {
		return nil, missing
	}
	if missing == nil {
		to.then("delete", func() error { return p.remove(name) }, nil)
	}
	return to, nil
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
