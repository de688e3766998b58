// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/internal/netns"
)

// Veth makes a pair of interfaces, down yet, one end in each namespace (which may be the same). Their
// numbers differ: the kernel takes a veth whose other end has its own number, in another namespace, for no
// veth, and lets up to a second pass before it has it up.
func Veth(t testing.TB, nsA *netns.Handle, nameA string, nsB *netns.Handle, nameB string) {
	t.Helper()
	In(t, nsA, func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = nameA
		attrs.Index = 1<<16 + rand.IntN(1<<23)
		err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: nameB, PeerNamespace: netlink.NsFd(nsB.FD())})
		if err != nil {
			return fmt.Errorf("add veth %s, %s: %w", nameA, nameB, err)
		}
		return nil
	})
}

// Bridge makes a switch of interfaces that are there already, and sets it and them up.
func Bridge(t testing.TB, ns *netns.Handle, name string, ports ...string) {
	t.Helper()
	In(t, ns, func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = name
		snooping := false
		if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &snooping}); err != nil {
			return fmt.Errorf("add bridge %s: %w", name, err)
		}
		bridge, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		for _, p := range ports {
			port, err := netlink.LinkByName(p)
			if err == nil {
				err = netlink.LinkSetMaster(port, bridge)
			}
			if err != nil {
				return fmt.Errorf("add port %s to bridge %s: %w", p, name, err)
			}
		}
		return nil
	})
	Up(t, ns, append([]string{name}, ports...)...)
}

// Up sets interfaces up.
func Up(t testing.TB, ns *netns.Handle, names ...string) {
	t.Helper()
	each(t, ns, "set up", names, netlink.LinkSetUp)
}

// Ready waits until the kernel has seen that an interface is up, and so is its other end: until then it
// drops what is sent there, and IPv6 has no multicast routes. It sees to it in a work queue.
func Ready(t testing.TB, ns *netns.Handle, name string) {
	t.Helper()
	Eventually(t, 5*time.Second, func() error {
		if state := Link(t, ns, name).Attrs().OperState; state != netlink.OperUp {
			return fmt.Errorf("%s is %s", name, state)
		}
		return nil
	})
}

// Down sets interfaces down.
func Down(t testing.TB, ns *netns.Handle, names ...string) {
	t.Helper()
	each(t, ns, "set down", names, netlink.LinkSetDown)
}

// Delete removes interfaces.
func Delete(t testing.TB, ns *netns.Handle, names ...string) {
	t.Helper()
	each(t, ns, "delete", names, netlink.LinkDel)
}

// MTU sets the MTU, in bytes, of interfaces.
func MTU(t testing.TB, ns *netns.Handle, mtu int, names ...string) {
	t.Helper()
	each(t, ns, "set MTU of", names, func(l netlink.Link) error { return netlink.LinkSetMTU(l, mtu) })
}

func each(t testing.TB, ns *netns.Handle, verb string, names []string, f func(netlink.Link) error) {
	t.Helper()
	In(t, ns, func() error {
		for _, name := range names {
			l, err := netlink.LinkByName(name)
			if err == nil {
				err = f(l)
			}
			if err != nil {
				return fmt.Errorf("%s %s: %w", verb, name, err)
			}
		}
		return nil
	})
}

// Addr gives an interface addresses. IPv6 ones may be used at once, without duplicate detection.
func Addr(t testing.TB, ns *netns.Handle, name string, prefixes ...string) {
	t.Helper()
	l := Link(t, ns, name)
	In(t, ns, func() error {
		for _, p := range prefixes {
			addr, err := netlink.ParseAddr(p)
			if err != nil {
				return err
			}
			if addr.IP.To4() == nil {
				addr.Flags = unix.IFA_F_NODAD
			}
			if err := netlink.AddrAdd(l, addr); err != nil {
				return fmt.Errorf("add %s to %s: %w", p, name, err)
			}
		}
		return nil
	})
}

// Route adds a route, or replaces the one there is. Via is a gateway's address, or empty for a prefix on
// the link.
func Route(t testing.TB, ns *netns.Handle, name, prefix, via string) {
	t.Helper()
	l := Link(t, ns, name)
	route := &netlink.Route{LinkIndex: l.Attrs().Index, Scope: netlink.SCOPE_LINK}
	_, dst, err := net.ParseCIDR(prefix)
	require.NoError(t, err)
	route.Dst = dst
	if via != "" {
		route.Gw = net.ParseIP(via)
		require.NotNil(t, route.Gw, "gateway %q", via)
		route.Scope = netlink.SCOPE_UNIVERSE
	}
	In(t, ns, func() error {
		if err := netlink.RouteReplace(route); err != nil {
			return fmt.Errorf("add route to %s by %s: %w", prefix, name, err)
		}
		return nil
	})
}

// Neighbour writes a neighbour entry that stays, as if resolved.
func Neighbour(t testing.TB, ns *netns.Handle, name string, addr netip.Addr, mac net.HardwareAddr) {
	t.Helper()
	l := Link(t, ns, name)
	In(t, ns, func() error {
		return netlink.NeighSet(&netlink.Neigh{
			LinkIndex: l.Attrs().Index, IP: addr.AsSlice(), HardwareAddr: mac, State: netlink.NUD_PERMANENT,
		})
	})
}

// Exists tells whether there is an interface of that name.
func Exists(t testing.TB, ns *netns.Handle, name string) (there bool) {
	t.Helper()
	In(t, ns, func() error {
		_, err := netlink.LinkByName(name)
		if missing := (netlink.LinkNotFoundError{}); errors.As(err, &missing) || errors.Is(err, unix.ENODEV) {
			return nil
		}
		there = err == nil
		return err
	})
	return there
}
