// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"iter"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/mizar-go/mizar/dataplane"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	tables "github.com/mizar-go/mizar/maps"
)

// Get reads a resource, of which m bears what makes up the key.
func (h *Host) Get(ctx context.Context, m proto.Message) (proto.Message, error) {
	k := h.kindOf(m)
	m, err := h.settled(ctx, m, nil)
	if err != nil {
		return nil, err
	}
	there, err := h.look(ctx, k, m)
	if err != nil {
		return nil, err
	}
	if there != nil {
		return out(there.msg), nil
	}
	if asked := h.askedFor(k.id(), k.keyOf(m)); asked != nil && tellsAway(asked) {
		return out(bare(asked)), nil
	}
	return nil, &Error{Kind: k.id(), Key: k.keyOf(m), Err: dataplane.ErrNotFound}
}

// tellsAway: a resource of this kind that was asked for and is not there is told, without a status: it comes when it
// can. Others are rows of tables, of which all there is to say is that they are there.
func tellsAway(m proto.Message) bool { return field(m, statusField) != nil }

// List reads all resources of a kind, those of other hosts' endpoints aside, sorted by key.
func (h *Host) List(ctx context.Context, id pb.Kind) ([]proto.Message, error) {
	found, err := h.observe(ctx, h.kinds[id])
	if err != nil {
		return nil, err
	}
	h.addAway(id, found, tellsAway)
	var all []proto.Message
	for _, key := range slices.SortedFunc(maps.Keys(found), natural) {
		all = append(all, out(found[key].msg))
	}
	return all, nil
}

// observe reads all of a kind, with what was asked for.
func (h *Host) observe(ctx context.Context, k kind) (map[string]*have, error) {
	found, err := k.all(ctx)
	if err != nil {
		return nil, err
	}
	for key, there := range found {
		if asked := h.askedFor(k.id(), key); asked != nil {
			k.overlay(ctx, there, asked)
		}
	}
	return found, nil
}

// FindLocal is the endpoint of this host that has an address, or, if that is not given, an interface on the host's
// side.
func (h *Host) FindLocal(ctx context.Context, address *pb.EndpointKey, hostInterface string) (*pb.LocalEndpoint, error) {
	var key tables.EndpointKey
	if address != nil || hostInterface == "" {
		var err error
		if key, err = addressKey(address); err != nil {
			return nil, &Error{Kind: pb.Kind_KIND_LOCAL_ENDPOINT, Field: fieldOf(err), Err: err}
		}
	}
	all, err := h.List(ctx, pb.Kind_KIND_LOCAL_ENDPOINT)
	if err != nil {
		return nil, err
	}
	h.mu.RLock()
	for _, m := range h.asked[pb.Kind_KIND_LOCAL_ENDPOINT] { // also those whose interface and rows are gone
		all = append(all, out(m))
	}
	h.mu.RUnlock()
	for _, m := range all {
		e := m.(*pb.LocalEndpoint)
		if (hostInterface == "" || e.GetStatus().GetHostInterface() == hostInterface) &&
			(!key.Addr.IsValid() || e.Vni == key.VNI && slices.Contains(localAddrs(e), key.Addr)) {
			return e, nil
		}
	}
	name := hostInterface
	if key.Addr.IsValid() {
		name = key.String()
	}
	return nil, &Error{Kind: pb.Kind_KIND_LOCAL_ENDPOINT, Key: name, Err: dataplane.ErrNotFound}
}

// Endpoints reads where addresses live, in no order.
func (h *Host) Endpoints(ctx context.Context) iter.Seq2[*pb.Endpoint, error] {
	return mapped(h.dp.Endpoint.List(ctx), fromEndpoint)
}

// EndpointsOf reads those of a VPC (zero: of all), and of the host of an underlay address (empty: of all).
func (h *Host) EndpointsOf(ctx context.Context, vni uint32, host string) iter.Seq2[*pb.Endpoint, error] {
	return func(yield func(*pb.Endpoint, error) bool) {
		var r reader
		at := r.optional("host", &host)
		if r.err != nil {
			yield(nil, &Error{Kind: pb.Kind_KIND_ENDPOINT, Field: fieldOf(r.err), Err: r.err})
			return
		}
		for row, err := range h.dp.Endpoint.List(ctx) {
			switch {
			case err != nil:
				yield(nil, err)
				return
			case vni != 0 && row.VNI != vni, at.IsValid() && row.Host != at:
				continue
			}
			if !yield(fromEndpoint(row), nil) {
				return
			}
		}
	}
}

// natural sorts 9 before 10.
func natural(a, b string) int {
	for len(a) > 0 && len(b) > 0 {
		x, y := digits(a), digits(b)
		if x > 0 && y > 0 {
			if x != y {
				return x - y
			}
			if a[:x] != b[:y] {
				if a[:x] < b[:y] {
					return -1
				}
				return 1
			}
			a, b = a[x:], b[y:]
			continue
		}
		if a[0] != b[0] {
			return int(a[0]) - int(b[0])
		}
		a, b = a[1:], b[1:]
	}
	return len(a) - len(b)
}

func digits(s string) (n int) {
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}
