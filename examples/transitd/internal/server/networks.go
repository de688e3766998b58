// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"

	"connectrpc.com/connect"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/examples/transitd/internal/host"
)

type networks struct{ h *host.Host }

func (s networks) AddNetwork(ctx context.Context, r *connect.Request[pb.AddNetworkRequest]) (*connect.Response[pb.AddNetworkResponse], error) {
	got, outcome, err := put(ctx, s.h, r.Msg.Network)
	return answer(&pb.AddNetworkResponse{Network: got, Outcome: outcome}, err)
}

func (s networks) RemoveNetwork(ctx context.Context, r *connect.Request[pb.RemoveNetworkRequest]) (*connect.Response[pb.RemoveNetworkResponse], error) {
	outcome, err := remove(ctx, s.h, &pb.Network{Vni: r.Msg.Vni, Prefix: r.Msg.Prefix}, r.Msg.Etag, r.Msg.AllowMissing)
	return answer(&pb.RemoveNetworkResponse{Outcome: outcome}, err)
}

func (s networks) GetNetwork(ctx context.Context, r *connect.Request[pb.GetNetworkRequest]) (*connect.Response[pb.GetNetworkResponse], error) {
	got, err := get(ctx, s.h, &pb.Network{Vni: r.Msg.Vni, Prefix: r.Msg.Prefix})
	return answer(&pb.GetNetworkResponse{Network: got}, err)
}

func (s networks) ListNetworks(ctx context.Context, r *connect.Request[pb.ListNetworksRequest]) (*connect.Response[pb.ListNetworksResponse], error) {
	all, err := list(ctx, s.h, pb.Kind_KIND_NETWORK, func(n *pb.Network) bool { return r.Msg.Vni == 0 || n.Vni == r.Msg.Vni })
	return answer(&pb.ListNetworksResponse{Networks: all}, err)
}
