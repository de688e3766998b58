// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/mizar-go/mizar/dataplane"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/examples/transitd/internal/plumb"
)

// What the plumber makes it knows by its marks; what somebody else made it refuses to touch.

func bridges(p *plumb.Plumber) kind {
	return &spec[*pb.Bridge]{
		kind: pb.Kind_KIND_BRIDGE,
		key:  (*pb.Bridge).GetName,
		check: func(b *pb.Bridge) error {
			var r reader
			r.ifname("name", b.Name)
			if b.Mtu > 65535 {
				r.fail(wrong("mtu", "%d bytes are more than 65535", b.Mtu))
			}
			for i, port := range b.Ports {
				r.ifname(fmt.Sprintf("ports[%d]", i), port)
			}
			slices.Sort(b.Ports)
			if len(slices.Compact(slices.Clone(b.Ports))) < len(b.Ports) {
				r.fail(wrong("ports", "one is there twice"))
			}
			return r.err
		},
		get: func(ctx context.Context, b *pb.Bridge) (*pb.Bridge, error) {
			all, err := p.Bridges(ctx)
			return one(all, err, fromBridge, func(have *pb.Bridge) bool { return have.Name == b.Name })
		},
		list: func(ctx context.Context) iter.Seq2[*pb.Bridge, error] { return every(ctx, p.Bridges, fromBridge) },
		put: func(ctx context.Context, want, _ *pb.Bridge) (*pb.Bridge, error) {
			return added(want)(p.AddBridge(ctx, toBridge(want)))
		},
		remove: func(ctx context.Context, b *pb.Bridge) error { return p.RemoveBridge(ctx, b.Name) },
		fits: func(ctx context.Context, want, have *pb.Bridge) bool {
			outcome, err := p.CheckBridge(ctx, toBridge(want))
			return err == nil && outcome == plumb.Unchanged
		},
		hidden: true, // whether its MTU was asked for
		of:     func(s *pb.State) *[]*pb.Bridge { return &s.Bridges },
		phase:  func(*pb.Bridge) int { return phaseBridge },
	}
}

func toBridge(b *pb.Bridge) plumb.Bridge {
	return plumb.Bridge{Name: b.Name, MTU: int(b.Mtu), Ports: b.Ports}
}

func fromBridge(b plumb.Bridge) *pb.Bridge {
	return &pb.Bridge{Name: b.Name, Mtu: uint32(b.MTU), Ports: b.Ports}
}

func routes(p *plumb.Plumber) kind {
	return &spec[*pb.Route]{
		kind:  pb.Kind_KIND_ROUTE,
		key:   func(r *pb.Route) string { return pathKey(table(r.GetTable()), r.GetDestination()) },
		check: func(r *pb.Route) error { _, err := toRoute(r); return err },
		get: func(ctx context.Context, r *pb.Route) (*pb.Route, error) {
			var read reader
			if read.masked("destination", &r.Destination); read.err != nil {
				return nil, read.err
			}
			all, err := p.Routes(ctx)
			return one(all, err, fromRoute, func(have *pb.Route) bool {
				return have.Destination == r.Destination && table(have.Table) == table(r.Table)
			})
		},
		list: func(ctx context.Context) iter.Seq2[*pb.Route, error] { return every(ctx, p.Routes, fromRoute) },
		put: func(ctx context.Context, want, _ *pb.Route) (*pb.Route, error) {
			route, err := toRoute(want)
			if err != nil {
				return nil, err
			}
			return added(want)(p.AddRoute(ctx, route))
		},
		remove: func(ctx context.Context, r *pb.Route) error {
			route, err := toRoute(r)
			if err != nil {
				return err
			}
			return p.RemoveRoute(ctx, route.Dst, route.Table)
		},
		fits: func(ctx context.Context, want, have *pb.Route) bool {
			route, err := toRoute(want)
			if err != nil {
				return false
			}
			outcome, err := p.CheckRoute(ctx, route)
			return err == nil && outcome == plumb.Unchanged
		},
		hidden: true, // whether its interface and MTU were asked for
		of:     func(s *pb.State) *[]*pb.Route { return &s.Routes },
		phase: func(r *pb.Route) int {
			if r.Via != "" {
				return phaseVia
			}
			return phaseRoute
		},
	}
}

// mostMTU is the largest that the kernel takes for a route; a larger one it makes this one.
const mostMTU = 65535 - 15

// mainTable is what zero means.
const mainTable = 254

func table(n uint32) uint32 {
	if n == 0 {
		return mainTable
	}
	return n
}

func toRoute(m *pb.Route) (plumb.Route, error) {
	var r reader
	if m.Table == mainTable {
		m.Table = 0
	}
	route := plumb.Route{
		Dst: r.masked("destination", &m.Destination), Via: r.optional("via", &m.Via), Interface: m.Interface, Table: int(m.Table),
		MTU: int(m.Mtu),
	}
	if m.Interface != "" {
		r.ifname("interface", m.Interface)
	}
	if m.Interface == "" && m.Via == "" {
		r.fail(wrong("via", "a route has a next hop, an interface or both"))
	}
	if m.Mtu > mostMTU {
		r.fail(wrong("mtu", "%d bytes are more than %d", m.Mtu, mostMTU))
	}
	if route.Via.IsValid() && route.Dst.IsValid() && route.Via.Is4() != route.Dst.Addr().Is4() {
		r.fail(wrong("via", "%s and %s are not of one family", route.Via, route.Dst))
	}
	return route, r.err
}

func fromRoute(r plumb.Route) *pb.Route {
	m := &pb.Route{Destination: r.Dst.String(), Via: text(r.Via), Interface: r.Interface, Mtu: uint32(r.MTU)}
	if r.Table != mainTable {
		m.Table = uint32(r.Table)
	}
	return m
}

func addresses(p *plumb.Plumber) kind {
	return &spec[*pb.Address]{
		kind:  pb.Kind_KIND_ADDRESS,
		key:   func(a *pb.Address) string { return a.GetInterface() + "/" + a.GetAddress() },
		check: func(a *pb.Address) error { _, err := toAddress(a); return err },
		get: func(ctx context.Context, a *pb.Address) (*pb.Address, error) {
			if _, err := toAddress(a); err != nil {
				return nil, err
			}
			all, err := p.Addresses(ctx)
			return one(all, err, fromAddress, func(have *pb.Address) bool {
				return have.Interface == a.Interface && have.Address == a.Address
			})
		},
		list: func(ctx context.Context) iter.Seq2[*pb.Address, error] { return every(ctx, p.Addresses, fromAddress) },
		put: func(ctx context.Context, want, _ *pb.Address) (*pb.Address, error) {
			a, err := toAddress(want)
			if err != nil {
				return nil, err
			}
			return added(want)(p.AddAddress(ctx, a))
		},
		remove: func(ctx context.Context, m *pb.Address) error {
			a, err := toAddress(m)
			if err != nil {
				return err
			}
			return p.RemoveAddress(ctx, a)
		},
		fits:  fits[*pb.Address],
		of:    func(s *pb.State) *[]*pb.Address { return &s.Addresses },
		phase: func(*pb.Address) int { return phaseAddress },
	}
}

func toAddress(m *pb.Address) (plumb.Address, error) {
	var r reader
	r.ifname("interface", m.Interface)
	a := plumb.Address{Interface: m.Interface, Prefix: r.interfacePrefix("address", &m.Address)}
	return a, r.err
}

func fromAddress(a plumb.Address) *pb.Address {
	return &pb.Address{Interface: a.Interface, Address: a.Prefix.String()}
}

// one is the first that is meant.
func one[T any, M proto.Message](all []T, err error, from func(T) M, is func(M) bool) (none M, _ error) {
	if err != nil {
		return none, err
	}
	for _, t := range all {
		if m := from(t); is(m) {
			return m, nil
		}
	}
	return none, dataplane.ErrNotFound
}

func every[T any, M proto.Message](ctx context.Context, list func(context.Context) ([]T, error), from func(T) M) iter.Seq2[M, error] {
	return func(yield func(M, error) bool) {
		all, err := list(ctx)
		if err != nil {
			var none M
			yield(none, err)
			return
		}
		for _, t := range all {
			if !yield(from(t), nil) {
				return
			}
		}
	}
}

// added is what was wanted, if it came to be.
func added[M proto.Message](want M) func(plumb.Outcome, error) (M, error) {
	return func(_ plumb.Outcome, err error) (M, error) { return want, err }
}
