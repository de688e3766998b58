// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
)

// Uplink is the name of every host's interface on the underlay.
const Uplink = "uplink"

const bridge = "switch"

// Switch is the underlay: a bridge in a namespace of its own, and the hosts plugged into it.
type Switch struct {
	ns  *Namespace
	xdp bool
}

// NewSwitch makes a switch without ports; with xdp, its ports will suit hosts that run native XDP.
func NewSwitch(xdp bool) (_ *Switch, err error) {
	ns, err := NewNamespace("switch")
	if err != nil {
		return nil, err
	}
	s := &Switch{ns: ns, xdp: xdp}
	defer func() {
		if err != nil {
			err = fmt.Errorf("create switch: %w", errors.Join(err, s.Close()))
		}
	}()
	// It switches frames; it has nothing to say itself.
	for _, conf := range []string{"all", "default"} {
		if err := ns.Sysctl("ipv6/conf/"+conf+"/disable_ipv6", "1"); err != nil {
			return nil, err
		}
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = bridge
	if err := ns.netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil {
		return nil, err
	}
	return s, ns.up(bridge)
}

// Host is a namespace with an [Uplink] to the switch.
type Host struct {
	*Namespace
	Addr netip.Addr // on the underlay
}

// Host makes a host and plugs it in, with an underlay address and its prefix's length.
func (s *Switch) Host(name string, addr netip.Prefix) (_ *Host, err error) {
	ns, err := NewNamespace(name)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("plug in host %s: %w", name, errors.Join(err, ns.Close()))
		}
	}()
	port := "to-" + name
	br, err := s.ns.netlink.LinkByName(bridge)
	if err != nil {
		return nil, err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = port
	attrs.MasterIndex = br.Attrs().Index
	attrs.Index = farIndex()
	veth := netlink.NewVeth(attrs)
	veth.PeerName, veth.PeerNamespace = Uplink, netlink.NsFd(ns.fd)
	if err := s.ns.netlink.LinkAdd(veth); err != nil {
		return nil, err
	}
	if s.xdp {
		if err := s.ns.Do(func() error { return carryXDP(port) }); err != nil {
			return nil, err
		}
	}
	if err := s.ns.up(port); err != nil {
		return nil, err
	}
	// IPv6 addresses that nobody asked for would only make the host talk.
	if err := ns.Sysctl("ipv6/conf/"+Uplink+"/disable_ipv6", "1"); err != nil {
		return nil, err
	}
	if err := ns.assign(Uplink, addr); err != nil {
		return nil, err
	}
	if err := ns.up(Uplink); err != nil {
		return nil, err
	}
	return &Host{Namespace: ns, Addr: addr.Addr()}, errors.Join(s.ns.awaitUp(port), ns.awaitUp(Uplink))
}

// farIndex is a number for one end of a veth that the other end, in its namespace, will not have: for two
// of one number the kernel takes up to a second to see that they are up.
func farIndex() int { return 1<<16 + rand.IntN(1<<23) }

// awaitUp waits until the kernel has noticed that an interface has a carrier. A port of a bridge forwards
// from then on only.
func (n *Namespace) awaitUp(name string) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for timeout := time.After(5 * time.Second); ; {
		l, err := n.netlink.LinkByName(name)
		if err != nil {
			return err
		}
		if l.Attrs().OperState == netlink.OperUp {
			return nil
		}
		select {
		case <-tick.C:
		case <-timeout:
			return fmt.Errorf("%s stays %v", name, l.Attrs().OperState)
		}
	}
}

// Close takes the switch away. The hosts stay, unplugged, until they are closed.
func (s *Switch) Close() error {
	return s.ns.Close()
}

func (n *Namespace) assign(name string, addr netip.Prefix) error {
	l, err := n.netlink.LinkByName(name)
	if err != nil {
		return err
	}
	a, err := netlink.ParseAddr(addr.String())
	if err != nil {
		return err
	}
	return n.netlink.AddrAdd(l, a)
}
