// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Bridge makes a switch in the namespace, which is for it alone: it has no IPv6 then, as it switches frames
// and has nothing to say itself.
func (n *Namespace) Bridge(name string) error {
	for _, conf := range []string{"all", "default"} {
		if err := n.Sysctl("ipv6/conf/"+conf+"/disable_ipv6", "1"); err != nil {
			return err
		}
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	if err := n.netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil {
		return fmt.Errorf("create bridge %s: %w", name, err)
	}
	return n.Up(name)
}

// Enslave makes an interface a port of a bridge.
func (n *Namespace) Enslave(name, bridge string) error {
	return n.with(name, "plug in", func(l netlink.Link) error {
		br, err := n.netlink.LinkByName(bridge)
		if err != nil {
			return err
		}
		return n.netlink.LinkSetMaster(l, br)
	})
}

// Wire makes a veth: one end here, the other in another namespace. Both are down.
func (n *Namespace) Wire(name string, to *Namespace, there string, mtu int) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.Index = name, mtu, farIndex()
	veth := netlink.NewVeth(attrs)
	veth.PeerName, veth.PeerNamespace, veth.PeerMTU = there, netlink.NsFd(to.fd), uint32(mtu)
	if err := n.netlink.LinkAdd(veth); err != nil {
		return fmt.Errorf("create veth %s of %s: %w", name, n.Name, err)
	}
	return nil
}

// farIndex is a number for one end of a veth that the other end, in its namespace, will not have: for two
// of one number the kernel takes up to a second to see that they are up.
func farIndex() int { return 1<<16 + rand.IntN(1<<23) }

// Connect sets both ends of a veth up, and waits until the kernel has noticed.
func Connect(n *Namespace, name string, to *Namespace, there string) error {
	if err := errors.Join(n.Up(name), to.Up(there)); err != nil {
		return err
	}
	return errors.Join(n.awaitUp(name), to.awaitUp(there))
}

// Up sets an interface up.
func (n *Namespace) Up(name string) error {
	return n.with(name, "set up", n.netlink.LinkSetUp)
}

// Remove takes an interface away; of a veth, both ends go.
func (n *Namespace) Remove(name string) error {
	return n.with(name, "remove", n.netlink.LinkDel)
}

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

// Assign gives an interface an address. Of one of IPv6 nobody asks whether it is a duplicate, so that it is
// good at once.
func (n *Namespace) Assign(name string, addr netip.Prefix) error {
	return n.with(name, "assign "+addr.String()+" to", func(l netlink.Link) error {
		a := &netlink.Addr{IPNet: ipNet(addr)}
		if addr.Addr().Is6() {
			a.Flags = unix.IFA_F_NODAD
		}
		return n.netlink.AddrAdd(l, a)
	})
}

// Route sends what is for a prefix to a router behind an interface.
func (n *Namespace) Route(name string, to netip.Prefix, via netip.Addr) error {
	return n.with(name, "route "+to.String()+" by", func(l netlink.Link) error {
		return n.netlink.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Dst: ipNet(to), Gw: via.AsSlice()})
	})
}

// with does something to an interface, and names both where that fails.
func (n *Namespace) with(name, what string, f func(netlink.Link) error) error {
	l, err := n.netlink.LinkByName(name)
	if err == nil {
		err = f(l)
	}
	if err != nil {
		return fmt.Errorf("%s %s of %s: %w", what, name, n.Name, err)
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
