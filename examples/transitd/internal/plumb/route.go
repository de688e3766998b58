// SPDX-License-Identifier: Apache-2.0

package plumb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Route is a route of the host. Its key is table and destination.
type Route struct {
	Dst       netip.Prefix // masked
	Via       netip.Addr   // next hop; zero: Dst is on link
	Interface string       // empty: the one that the next hop is on
	Table     int          // zero: the main table
	// MTU in bytes; zero: the interface's. It is locked, as of routes on the underlay only a locked one counts.
	MTU int
}

// String is its key.
func (r Route) String() string { return fmt.Sprintf("%s in table %d", r.Dst, r.table()) }

func (r Route) table() int { return cmp.Or(r.Table, unix.RT_TABLE_MAIN) }

func (r Route) validate() error {
	switch {
	case !r.Dst.IsValid() || r.Dst.Addr().Is4In6() || r.Dst.Addr().IsMulticast():
		return invalid("destination: not of unicast addresses")
	case r.Dst != r.Dst.Masked():
		return invalid("destination: bits set beyond its length")
	case r.Via.IsValid() && (r.Via.Is4In6() || r.Via.Is4() != r.Dst.Addr().Is4() || r.Via.IsMulticast() || r.Via.IsUnspecified() || r.Via.Zone() != ""):
		return invalid("next hop %s: not one of the destination's family", r.Via)
	case !r.Via.IsValid() && r.Interface == "":
		return invalid("neither next hop nor interface")
	case r.Interface != "" && !interfaceName(r.Interface):
		return invalid("interface %q: no name for one", r.Interface)
	case r.Table < 0 || int64(r.Table) > 1<<32-1 || r.Table == unix.RT_TABLE_LOCAL:
		return invalid("table %d: not one for routes of users", r.Table)
	case r.MTU != 0 && (r.MTU < 68 || r.MTU > maxMTU):
		return invalid("MTU %d: not 68 to %d", r.MTU, maxMTU)
	}
	return nil
}

// AddRoute adds a route, or replaces the one that we made, in one step and without a gap. Where there is one to
// the same destination in the table that somebody else made, of any metric, it is [ErrNotOurs].
func (p *Plumber) AddRoute(ctx context.Context, r Route) (Outcome, error) {
	return p.apply(ctx, "add route to "+r.String(), false, func(context.Context) (*plan, error) { return p.planRoute(r) })
}

// CheckRoute says what [Plumber.AddRoute] would do.
func (p *Plumber) CheckRoute(ctx context.Context, r Route) (Outcome, error) {
	return p.apply(ctx, "check route to "+r.String(), true, func(context.Context) (*plan, error) { return p.planRoute(r) })
}

func (p *Plumber) planRoute(r Route) (*plan, error) {
	if err := r.validate(); err != nil {
		return nil, err
	}
	row, err := p.route(r)
	if err != nil {
		return nil, err
	}
	now, ours, err := p.routesTo(r)
	if err != nil {
		return nil, err
	}
	to := &plan{}
	switch {
	case now == nil:
		to.then("add", func() error { return p.netlink.RouteAdd(row) }, func() error { return p.dropRoute(row) })
	case !ours:
		return nil, fmt.Errorf("by protocol %d: %w", now.Protocol, ErrNotOurs)
	case !met(row, now):
		// Without its metric it would be another route, of IPv6.
		row.Priority = now.Priority
		to.then("change", func() error { return p.netlink.RouteChange(row) }, func() error { return p.netlink.RouteChange(now) })
	}
	return to.settle(now != nil), nil
}

func (p *Plumber) dropRoute(row *netlink.Route) error {
	if err := p.netlink.RouteDel(row); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	return nil
}

// route is what the kernel takes.
func (p *Plumber) route(r Route) (*netlink.Route, error) {
	row := &netlink.Route{
		Dst: ipNet(r.Dst), Gw: r.Via.AsSlice(), Table: r.table(), Protocol: netlink.RouteProtocol(p.Protocol),
		MTU: r.MTU, MTULock: r.MTU != 0,
	}
	if r.Dst.Addr().Is4() && !r.Via.IsValid() {
		row.Scope = netlink.SCOPE_LINK
	}
	if r.Interface != "" {
		l, err := p.link(r.Interface)
		if err != nil {
			return nil, err
		}
		row.LinkIndex = l.Attrs().Index
	}
	return row, nil
}

// met tells whether a route is as wanted, where that says something.
func met(want, now *netlink.Route) bool {
	return len(now.MultiPath) == 0 && want.Gw.Equal(now.Gw) && want.MTU == now.MTU && want.MTULock == now.MTULock &&
		(want.LinkIndex == 0 || want.LinkIndex == now.LinkIndex)
}

// routesTo is what there is of a key, and whether it is ours.
func (p *Plumber) routesTo(r Route) (now *netlink.Route, ours bool, err error) {
	family := netlink.FAMILY_V6
	if r.Dst.Addr().Is4() {
		family = netlink.FAMILY_V4
	}
	all, err := p.routes(family, r.table())
	if err != nil {
		return nil, false, err
	}
	for _, one := range all {
		if destination(one) == r.Dst {
			if one.Protocol != netlink.RouteProtocol(p.Protocol) {
				return &one, false, nil
			}
			now = &one
		}
	}
	return now, now != nil, nil
}

// routes are those of a table; zero: of all but the kernel's own.
func (p *Plumber) routes(family, table int) ([]netlink.Route, error) {
	return whole(func() ([]netlink.Route, error) {
		return p.netlink.RouteListFiltered(family, &netlink.Route{Table: table}, netlink.RT_FILTER_TABLE)
	})
}

// RemoveRoute removes a route that we made, by its destination and table (zero: the main one).
func (p *Plumber) RemoveRoute(ctx context.Context, dst netip.Prefix, table int) error {
	r := Route{Dst: dst, Table: table, Interface: "lo"}
	_, err := p.apply(ctx, "remove route to "+r.String(), false, func(context.Context) (*plan, error) {
		if err := r.validate(); err != nil {
			return nil, err
		}
		now, ours, err := p.routesTo(r)
		switch {
		case err != nil:
			return nil, err
		case now == nil:
			return nil, ErrNotFound
		case !ours:
			return nil, fmt.Errorf("somebody else made it, by protocol %d: %w", now.Protocol, ErrNotFound)
		}
		to := &plan{}
		to.then("delete", func() error { return p.netlink.RouteDel(now) }, func() error { return p.netlink.RouteReplace(now) })
		return to, nil
	})
	return err
}

// Routes lists the routes that we made, sorted by table and destination. Interface is always told.
func (p *Plumber) Routes(ctx context.Context) ([]Route, error) {
	return list(p, ctx, "routes", func() ([]Route, error) {
		names, err := p.names()
		if err != nil {
			return nil, err
		}
		var all []Route
		for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
			rows, err := p.routes(family, unix.RT_TABLE_UNSPEC)
			if err != nil {
				return nil, err
			}
			for _, row := range rows {
				if row.Protocol != netlink.RouteProtocol(p.Protocol) {
					continue
				}
				r := Route{Dst: destination(row), Interface: names[row.LinkIndex], Table: row.Table, MTU: row.MTU}
				if via, ok := netip.AddrFromSlice(row.Gw); ok {
					r.Via = via.Unmap()
				}
				if r.Table == unix.RT_TABLE_MAIN {
					r.Table = 0
				}
				all = append(all, r)
			}
		}
		slices.SortFunc(all, func(a, b Route) int {
			return cmp.Or(cmp.Compare(a.table(), b.table()), a.Dst.Compare(b.Dst))
		})
		return all, nil
	})
}

// destination is a route's; nil of package netlink is the default route.
func destination(r netlink.Route) netip.Prefix {
	v4 := r.Family == netlink.FAMILY_V4
	if r.Dst == nil {
		if v4 {
			return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
		}
		return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	addr, _ := netip.AddrFromSlice(r.Dst.IP)
	if v4 {
		addr = addr.Unmap()
	}
	bits, _ := r.Dst.Mask.Size()
	return netip.PrefixFrom(addr, bits)
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
