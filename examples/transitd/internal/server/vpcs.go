// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"

	"connectrpc.com/connect"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/examples/transitd/internal/host"
)

type vpcs struct{ h *host.Host }

func (s vpcs) AddVpc(ctx context.Context, r *connect.Request[pb.AddVpcRequest]) (*connect.Response[pb.AddVpcResponse], error) {
	got, outcome, err := put(ctx, s.h, r.Msg.Vpc)
	return answer(&pb.AddVpcResponse{Vpc: got, Outcome: outcome}, err)
}

func (s vpcs) RemoveVpc(ctx context.Context, r *connect.Request[pb.RemoveVpcRequest]) (*connect.Response[pb.RemoveVpcResponse], error) {
	outcome, err := remove(ctx, s.h, &pb.Vpc{Vni: r.Msg.Vni}, r.Msg.Etag, r.Msg.AllowMissing)
	return answer(&pb.RemoveVpcResponse{Outcome: outcome}, err)
}

func (s vpcs) GetVpc(ctx context.Context, r *connect.Request[pb.GetVpcRequest]) (*connect.Response[pb.GetVpcResponse], error) {
	got, err := get(ctx, s.h, &pb.Vpc{Vni: r.Msg.Vni})
	return answer(&pb.GetVpcResponse{Vpc: got}, err)
}

func (s vpcs) ListVpcs(ctx context.Context, _ *connect.Request[pb.ListVpcsRequest]) (*connect.Response[pb.ListVpcsResponse], error) {
	all, err := list[*pb.Vpc](ctx, s.h, pb.Kind_KIND_VPC, nil)
	return answer(&pb.ListVpcsResponse{Vpcs: all}, err)
}
