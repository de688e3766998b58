// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"iter"
	"net/netip"
	"slices"

	"github.com/mizar-go/mizar/dataplane"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/examples/transitd/internal/plumb"
)

// locals are the workloads of this host.
type locals struct {
	dp      *dataplane.Dataplane
	plumber *plumb.Plumber
	away    away
}

func localEndpoints(dp *dataplane.Dataplane, p *plumb.Plumber) kind {
	l := &locals{dp: dp, plumber: p}
	return &spec[*pb.LocalEndpoint]{
		kind:  pb.Kind_KIND_LOCAL_ENDPOINT,
		key:   localKey,
		check: func(e *pb.LocalEndpoint) error { _, err := toLocal(e); return err },
		get:   l.get,
		list: func(ctx context.Context) iter.Seq2[*pb.LocalEndpoint, error] {
			return mapped(dp.Endpoint.Local(ctx), fromLocal)
		},
		put:    l.put,
		remove: l.remove,
		keep:   l.keep,
		fits:   func(_ context.Context, want, have *pb.LocalEndpoint) bool { return localFits(want, have) },
		hidden: true, // namespace, routes, prefix lengths
		broken: func(e *pb.LocalEndpoint) string { return wreck(e.Status.GetGone(), e.Status.GetPartial()) },
		lacks:  l.unplugged,
		lend:   lend,
		tidy:   l.tidy,
		ready:  l.ready,
		gap:    func(want, have, seen *pb.LocalEndpoint) bool { return !staysAsItIs(want, have, seen) },
		of:     func(s *pb.State) *[]*pb.LocalEndpoint { return &s.LocalEndpoints },
		phase:  func(*pb.LocalEndpoint) int { return phaseLocalEndpoint },
	}
}

// localKey is of the lowest address: what the kernel tells has no order.
func localKey(e *pb.LocalEndpoint) string {
	return pathKey(e.GetVni(), text(lowest(localAddrs(e))))
}

func lowest(addrs []netip.Addr) netip.Addr {
	if len(addrs) == 0 {
		return netip.Addr{}
	}
	return slices.MinFunc(addrs, netip.Addr.Compare)
}

// localAddrs are the addresses without their networks.
func localAddrs(e *pb.LocalEndpoint) []netip.Addr {
	var all []netip.Addr
	for _, text := range e.GetAddresses() {
		if p, err := netip.ParsePrefix(text); err == nil {
			all = append(all, p.Addr())
		}
	}
	return all
}
