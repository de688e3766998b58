// SPDX-License-Identifier: Apache-2.0

package host

import (
	"net/netip"

	"github.com/mizar-go/mizar/dataplane"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/maps"
)

func peers(dp *dataplane.Dataplane) kind {
	return rows(&spec[*pb.Peer]{
		kind:  pb.Kind_KIND_PEER,
		key:   (*pb.Peer).GetPrefix,
		of:    func(s *pb.State) *[]*pb.Peer { return &s.Peers },
		phase: func(*pb.Peer) int { return phasePeer },
	}, dp.Peer, toPeer, fromPeer, func(p *pb.Peer) (netip.Prefix, error) {
		row, err := toPeer(p)
		return row.Prefix, err
	})
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
