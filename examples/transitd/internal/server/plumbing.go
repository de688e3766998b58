// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"

	"connectrpc.com/connect"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/examples/transitd/internal/host"
)

type plumbing struct{ h *host.Host }

func (s plumbing) AddBridge(ctx context.Context, r *connect.Request[pb.AddBridgeRequest]) (*connect.Response[pb.AddBridgeResponse], error) {
	got, outcome, err := put(ctx, s.h, r.Msg.Bridge)
	return answer(&pb.AddBridgeResponse{Bridge: got, Outcome: outcome}, err)
}

func (s plumbing) RemoveBridge(ctx context.Context, r *connect.Request[pb.RemoveBridgeRequest]) (*connect.Response[pb.RemoveBridgeResponse], error) {
	outcome, err := remove(ctx, s.h, &pb.Bridge{Name: r.Msg.Name}, r.Msg.Etag, r.Msg.AllowMissing)
	return answer(&pb.RemoveBridgeResponse{Outcome: outcome}, err)
}

func (s plumbing) ListBridges(ctx context.Context, _ *connect.Request[pb.ListBridgesRequest]) (*connect.Response[pb.ListBridgesResponse], error) {
	all, err := list[*pb.Bridge](ctx, s.h, pb.Kind_KIND_BRIDGE, nil)
	return answer(&pb.ListBridgesResponse{Bridges: all}, err)
}

func (s plumbing) AddRoute(ctx context.Context, r *connect.Request[pb.AddRouteRequest]) (*connect.Response[pb.AddRouteResponse], error) {
	got, outcome, err := put(ctx, s.h, r.Msg.Route)
	return answer(&pb.AddRouteResponse{Route: got, Outcome: outcome}, err)
}

func (s plumbing) RemoveRoute(ctx context.Context, r *connect.Request[pb.RemoveRouteRequest]) (*connect.Response[pb.RemoveRouteResponse], error) {
	outcome, err := remove(ctx, s.h, &pb.Route{Destination: r.Msg.Destination, Table: r.Msg.Table}, r.Msg.Etag, r.Msg.AllowMissing)
	return answer(&pb.RemoveRouteResponse{Outcome: outcome}, err)
}

func (s plumbing) ListRoutes(ctx context.Context, _ *connect.Request[pb.ListRoutesRequest]) (*connect.Response[pb.ListRoutesResponse], error) {
	all, err := list[*pb.Route](ctx, s.h, pb.Kind_KIND_ROUTE, nil)
	return answer(&pb.ListRoutesResponse{Routes: all}, err)
}

func (s plumbing) AddAddress(ctx context.Context, r *connect.Request[pb.AddAddressRequest]) (*connect.Response[pb.AddAddressResponse], error) {
	got, outcome, err := put(ctx, s.h, r.Msg.Address)
	return answer(&pb.AddAddressResponse{Address: got, Outcome: outcome}, err)
}

func (s plumbing) RemoveAddress(ctx context.Context, r *connect.Request[pb.RemoveAddressRequest]) (*connect.Response[pb.RemoveAddressResponse], error) {
	outcome, err := remove(ctx, s.h, &pb.Address{Interface: r.Msg.Interface, Address: r.Msg.Address}, r.Msg.Etag, r.Msg.AllowMissing)
	return answer(&pb.RemoveAddressResponse{Outcome: outcome}, err)
}

func (s plumbing) ListAddresses(ctx context.Context, _ *connect.Request[pb.ListAddressesRequest]) (*connect.Response[pb.ListAddressesResponse], error) {
	all, err := list[*pb.Address](ctx, s.h, pb.Kind_KIND_ADDRESS, nil)
	return answer(&pb.ListAddressesResponse{Addresses: all}, err)
}
