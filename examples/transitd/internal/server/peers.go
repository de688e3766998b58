// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"

	"connectrpc.com/connect"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/examples/transitd/internal/host"
)

type peers struct{ h *host.Host }

func (s peers) AddPeer(ctx context.Context, r *connect.Request[pb.AddPeerRequest]) (*connect.Response[pb.AddPeerResponse], error) {
	got, outcome, err := put(ctx, s.h, r.Msg.Peer)
	return answer(&pb.AddPeerResponse{Peer: got, Outcome: outcome}, err)
}

func (s peers) RemovePeer(ctx context.Context, r *connect.Request[pb.RemovePeerRequest]) (*connect.Response[pb.RemovePeerResponse], error) {
	outcome, err := remove(ctx, s.h, &pb.Peer{Prefix: r.Msg.Prefix}, r.Msg.Etag, r.Msg.AllowMissing)
	return answer(&pb.RemovePeerResponse{Outcome: outcome}, err)
}

func (s peers) GetPeer(ctx context.Context, r *connect.Request[pb.GetPeerRequest]) (*connect.Response[pb.GetPeerResponse], error) {
	got, err := get(ctx, s.h, &pb.Peer{Prefix: r.Msg.Prefix})
	return answer(&pb.GetPeerResponse{Peer: got}, err)
}

func (s peers) ListPeers(ctx context.Context, _ *connect.Request[pb.ListPeersRequest]) (*connect.Response[pb.ListPeersResponse], error) {
	all, err := list[*pb.Peer](ctx, s.h, pb.Kind_KIND_PEER, nil)
	return answer(&pb.ListPeersResponse{Peers: all}, err)
}
