// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"iter"
	"net/netip"

	"github.com/mizar-go/mizar/dataplane"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/maps"
)

func peers(dp *dataplane.Dataplane) kind {
	return &spec[*pb.Peer]{
		kind:  pb.Kind_KIND_PEER,
		key:   (*pb.Peer).GetPrefix,
		check: func(p *pb.Peer) error { _, err := toPeer(p); return err },
		get: func(ctx context.Context, p *pb.Peer) (*pb.Peer, error) {
			row, err := toPeer(p)
			if err != nil {
				return nil, err
			}
			row, err = dp.Peer.Get(ctx, row.Prefix)
			return fromPeer(row), err
		},
		list: func(ctx context.Context) iter.Seq2[*pb.Peer, error] { return mapped(dp.Peer.List(ctx), fromPeer) },
		put: func(ctx context.Context, want, _ *pb.Peer) (*pb.Peer, error) {
			row, err := toPeer(want)
			if err != nil {
				return nil, err
			}
			return want, dp.Peer.Add(ctx, row)
		},
		remove: func(ctx context.Context, p *pb.Peer) error {
			row, err := toPeer(p)
			if err != nil {
				return err
			}
			return dp.Peer.Remove(ctx, row.Prefix)
		},
		fits:  fits[*pb.Peer],
		of:    func(s *pb.State) *[]*pb.Peer { return &s.Peers },
		phase: func(*pb.Peer) int { return phasePeer },
	}
}

func toPeer(p *pb.Peer) (maps.Peer, error) {
	var r reader
	row := maps.Peer{Prefix: r.masked("prefix", &p.Prefix), Cookie: p.Cookie}
	if row.Prefix.IsValid() && row.Prefix.Addr().Is6() && row.Prefix.Contains(netip.MustParseAddr("::ffff:0:0")) {
		r.fail(wrong("prefix", "%s would take in all of IPv4: 2000::/3 is what is meant", row.Prefix))
	}
	return row, r.err
}

func fromPeer(row maps.Peer) *pb.Peer {
	return &pb.Peer{Prefix: row.Prefix.String(), Cookie: row.Cookie}
}
