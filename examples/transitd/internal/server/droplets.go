// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"

	"connectrpc.com/connect"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/examples/transitd/internal/host"
)

type droplets struct{ h *host.Host }

func (s droplets) AttachDroplet(ctx context.Context, r *connect.Request[pb.AttachDropletRequest]) (*connect.Response[pb.AttachDropletResponse], error) {
	got, outcome, err := put(ctx, s.h, r.Msg.Droplet)
	return answer(&pb.AttachDropletResponse{Droplet: got, Outcome: outcome}, err)
}

func (s droplets) DetachDroplet(ctx context.Context, r *connect.Request[pb.DetachDropletRequest]) (*connect.Response[pb.DetachDropletResponse], error) {
	outcome, err := remove(ctx, s.h, &pb.Droplet{Interface: r.Msg.Interface}, r.Msg.Etag, r.Msg.AllowMissing)
	return answer(&pb.DetachDropletResponse{Outcome: outcome}, err)
}

func (s droplets) GetDroplet(ctx context.Context, r *connect.Request[pb.GetDropletRequest]) (*connect.Response[pb.GetDropletResponse], error) {
	got, err := get(ctx, s.h, &pb.Droplet{Interface: r.Msg.Interface})
	return answer(&pb.GetDropletResponse{Droplet: got}, err)
}

func (s droplets) ListDroplets(ctx context.Context, _ *connect.Request[pb.ListDropletsRequest]) (*connect.Response[pb.ListDropletsResponse], error) {
	all, err := list[*pb.Droplet](ctx, s.h, pb.Kind_KIND_DROPLET, nil)
	return answer(&pb.ListDropletsResponse{Droplets: all}, err)
}
