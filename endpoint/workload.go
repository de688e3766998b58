// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/maps"
)

// bringUp sets both ends up, the workload's with its addresses and routes.
func (b *creation) bringUp(ctx context.Context) error {
	host := &netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: b.saved.Ifindex}}
	err := b.do(ctx, "host up", func() error {
		return explain(netlink.LinkSetUp(host))
	}, func() error {
		// Before the agent goes.
		if dev, err := device(b.saved); err != nil || dev == nil {
			return err
		}
		return ignore(netlink.LinkSetDown(host), unix.ENODEV)
	})
	if err != nil {
		return fmt.Errorf("set up %s: %w", b.HostInterface, err)
	}
	if err := b.ns.Do(func() error { return b.configure(ctx) }); err != nil {
		return err
	}
	return b.ready(ctx)
}

// configure is the workload's side. Nothing of it is taken back: it goes with the interface.
func (b *creation) configure(ctx context.Context) error {
	dev, err := byName(b.Interface)
	if err != nil {
		return err
	}
	if dev == nil {
		return fmt.Errorf("interface %s: the workload's namespace lost it: %w", b.Interface, maps.ErrNotFound)
	}
	err = b.do(ctx, "workload up", func() error {
		if err := b.enableIPv6(); err != nil {
			return err
		}
		return explain(netlink.LinkSetUp(dev))
	}, nil)
	if err != nil {
		return fmt.Errorf("set up %s: %w", b.Interface, err)
	}
	for _, p := range b.Addrs {
		if err := b.do(ctx, "address "+p.String(), func() error { return addAddress(dev, p) }, nil); err != nil {
			return fmt.Errorf("add address %s to %s: %w", p, b.Interface, err)
		}
	}
	for _, r := range b.routes(b.ownNS) {
		if err := b.do(ctx, "route "+r.Dst.String(), func() error { return addRoute(dev, r) }, nil); err != nil {
			return fmt.Errorf("add route to %s by %s: %w", r.Dst, b.Interface, err)
		}
	}
	return nil
}

// enableIPv6 on the workload's interface, where it has such addresses: container runtimes turn it off for
// all interfaces that are yet to come.
func (b *creation) enableIPv6() error {
	if !b.has(false) {
		return nil
	}
	path := filepath.Join("/proc/sys/net/ipv6/conf", b.Interface, "disable_ipv6")
	now, err := os.ReadFile(path)
	if err != nil {
		return notSupported("use IPv6: the kernel has none: %w", err)
	}
	if len(now) > 0 && now[0] == '0' {
		return nil
	}
	if err := os.WriteFile(path, []byte("0"), 0); err != nil {
		return fmt.Errorf("turn on IPv6: %w", err)
	}
	return nil
}

func addAddress(dev netlink.Link, p netip.Prefix) error {
	addr := &netlink.Addr{IPNet: ipNet(p)}
	if p.Addr().Is6() {
		// The tables say that it is unique, and waiting for duplicate detection takes a second.
		addr.Flags = unix.IFA_F_NODAD
	}
	return explain(netlink.AddrAdd(dev, addr))
}

func addRoute(dev netlink.Link, r Route) error {
	route := &netlink.Route{LinkIndex: dev.Attrs().Index, Dst: ipNet(r.Dst), Scope: netlink.SCOPE_LINK}
	if r.Via.IsValid() {
		// Every address is on link, whatever the prefixes say: the agent answers for it.
		route.Gw = r.Via.AsSlice()
		route.Scope = netlink.SCOPE_UNIVERSE
		route.SetFlag(netlink.FLAG_ONLINK)
	}
	err := netlink.RouteAdd(route)
	if errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("%w: %w", maps.ErrExists, err)
	}
	return explain(err)
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

const (
	readyTimeout  = time.Second
	readyInterval = time.Millisecond
)

// ready waits until the kernel has seen that both ends are up: until then it drops what they send, and
// IPv6 has no multicast routes, so that neighbour discovery fails for a second. It sees to it in a work
// queue of its own; asking for an interface makes it do so at once (6.8).
func (b *creation) ready(ctx context.Context) error {
	err := b.isUp(ctx, b.HostInterface, func() (netlink.Link, error) { return device(b.saved) })
	if err != nil {
		return err
	}
	return b.ns.Do(func() error {
		return b.isUp(ctx, b.Interface, func() (netlink.Link, error) { return byName(b.Interface) })
	})
}

// isUp waits until an interface is, as look finds it.
func (b *creation) isUp(ctx context.Context, name string, look func() (netlink.Link, error)) error {
	deadline := time.NewTimer(readyTimeout)
	defer deadline.Stop()
	tick := time.NewTicker(readyInterval)
	defer tick.Stop()
	for {
		dev, err := look()
		if err != nil {
			return err
		}
		if dev == nil {
			return fmt.Errorf("interface %s: it went away: %w", name, maps.ErrNotFound)
		}
		if dev.Attrs().OperState == netlink.OperUp {
			return nil
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			b.m.log.Warn("interface is slow to come up", "interface", name)
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// ignore makes no error of those.
func ignore(err error, harmless ...error) error {
	if err == nil || is(err, harmless...) {
		return nil
	}
	return err
}
