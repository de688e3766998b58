// SPDX-License-Identifier: Apache-2.0

package droplet

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/maps"
)

// Resolve has the kernel keep the link-layer addresses of the next hops to underlay hosts fresh, also
// when no process runs, so that XDP finds them. What others have entered by hand, or manage, stays as it
// is. All hosts are tried; the error speaks of those without a way by a droplet, to which packets go as
// far as the kernel resolves them by itself. Routes that change later are not followed: call it again.
func (m *Manager) Resolve(ctx context.Context, hosts ...netip.Addr) error {
	err := m.do(ctx, func() error {
		var errs []error
		for _, h := range hosts {
			if err := m.before(ctx, "resolve"); err != nil {
				return errors.Join(append(errs, err)...)
			}
			if err := m.resolve(h); err != nil {
				errs = append(errs, fmt.Errorf("host %s: %w", h, err))
			}
		}
		return errors.Join(errs...)
	})
	if err != nil {
		return fmt.Errorf("resolve next hops: %w", err)
	}
	return nil
}

// Forget undoes all that Resolve did on this data-plane's droplets. Detach does so for its droplet.
func (m *Manager) Forget(ctx context.Context) error {
	err := m.do(ctx, func() error {
		all, err := m.traces()
		if err != nil {
			return err
		}
		for _, t := range all {
			if t.gone() {
				continue
			}
			if err := forget(ctx, t.ifindex); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("forget next hops: %w", err)
	}
	return nil
}

func (m *Manager) resolve(host netip.Addr) error {
	host = host.Unmap()
	if !host.IsValid() || host.IsMulticast() || host.IsUnspecified() || host.Zone() != "" {
		return maps.ErrInvalid
	}
	hops, err := nextHops(host)
	if err != nil {
		return err
	}
	for _, h := range hops {
		_, err := m.tables.Droplets.Get(h.ifindex)
		if errors.Is(err, maps.ErrNotFound) {
			return fmt.Errorf("its route leaves by interface %d: no droplet: %w", h.ifindex, err)
		}
		if err != nil {
			return err
		}
		if err := h.manage(); err != nil {
			return err
		}
	}
	return nil
}

// nextHops are the neighbours by which the routes to a host go: all those of a multipath route, none
// for this host itself.
func nextHops(host netip.Addr) ([]neighbour, error) {
	// The route itself, not the path that one packet would take.
	routes, err := netlink.RouteGetWithOptions(host.AsSlice(), &netlink.RouteGetOptions{FIBMatch: true})
	if errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EHOSTUNREACH) || errors.Is(err, unix.ESRCH) {
		return nil, fmt.Errorf("no route: %w", maps.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("look up route: %w", err)
	}
	var hops []neighbour
	for _, r := range routes {
		switch {
		case r.Type == unix.RTN_LOCAL:
		case r.Type != unix.RTN_UNICAST:
			return nil, fmt.Errorf("no route: %w", maps.ErrNotFound)
		case len(r.MultiPath) != 0:
			for _, h := range r.MultiPath {
				hops = append(hops, hop(host, h.LinkIndex, h.Gw, h.Via))
			}
		default:
			hops = append(hops, hop(host, r.LinkIndex, r.Gw, r.Via))
		}
	}
	return hops, nil
}

// hop is the gateway, of either family, or the host itself where it is on the link.
func hop(host netip.Addr, ifindex int, gw []byte, via netlink.Destination) neighbour {
	addr := host
	if v, ok := via.(*netlink.Via); ok {
		gw = v.Addr
	}
	if a, ok := netip.AddrFromSlice(gw); ok {
		addr = a.Unmap()
	}
	return neighbour{ifindex, addr}
}
