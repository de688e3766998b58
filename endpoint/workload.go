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
	readyTimeout  = 5 * time.Second
	readyInterval = time.Millisecond
)

// ready waits until the kernel has seen that both ends are up, and delivers what comes for the workload's
// addresses. Until then it drops what they send, IPv6 has no multicast routes, so that neighbour discovery
// fails for a second, and what is sent to its addresses finds nobody. The kernel sees to it in work queues.
func (b *creation) ready(ctx context.Context) error {
	err := b.await(ctx, b.HostInterface, func() (bool, error) {
		dev, err := device(b.saved)
		return up(b.HostInterface, dev, err)
	})
	if err != nil {
		return err
	}
	return b.ns.Do(func() error {
		return b.await(ctx, b.Interface, func() (bool, error) {
			dev, err := byName(b.Interface)
			if ok, err := up(b.Interface, dev, err); !ok {
				return false, err
			}
			return b.delivered()
		})
	})
}

// await waits until an interface is ready, and goes on without where that takes too long.
func (b *creation) await(ctx context.Context, name string, ready func() (bool, error)) error {
	deadline := time.NewTimer(readyTimeout)
	defer deadline.Stop()
	tick := time.NewTicker(readyInterval)
	defer tick.Stop()
	for {
		if ok, err := ready(); ok || err != nil {
			return err
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

// up tells whether an interface that was looked up is. To be asked has the kernel see to it at once (6.8).
func up(name string, dev netlink.Link, err error) (bool, error) {
	if err != nil {
		return false, err
	}
	if dev == nil {
		return false, fmt.Errorf("interface %s: it went away: %w", name, maps.ErrNotFound)
	}
	return dev.Attrs().OperState == netlink.OperUp, nil
}

// delivered tells whether the IPv6 addresses have their routes. Those of IPv4 come with the address.
func (b *creation) delivered() (bool, error) {
	for _, p := range b.Addrs {
		if p.Addr().Is4() {
			continue
		}
		routes, err := netlink.RouteGet(p.Addr().AsSlice())
		if is(err, unix.ENETUNREACH, unix.EHOSTUNREACH) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("look up route to %s: %w", p.Addr(), explain(err))
		}
		if len(routes) == 0 || routes[0].Type != unix.RTN_LOCAL {
			return false, nil
		}
	}
	return true, nil
}

// ignore makes no error of those.
func ignore(err error, harmless ...error) error {
	if err == nil || is(err, harmless...) {
		return nil
	}
	return err
}
