// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"

	"connectrpc.com/connect"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/examples/transitd/internal/host"
)

type functions struct{ h *host.Host }

func (s functions) LoadFunction(ctx context.Context, r *connect.Request[pb.LoadFunctionRequest]) (*connect.Response[pb.LoadFunctionResponse], error) {
	got, outcome, err := put(ctx, s.h, r.Msg.Function)
	return answer(&pb.LoadFunctionResponse{Function: got, Outcome: outcome}, err)
}

func (s functions) RemoveFunction(ctx context.Context, r *connect.Request[pb.RemoveFunctionRequest]) (*connect.Response[pb.RemoveFunctionResponse], error) {
	outcome, err := remove(ctx, s.h, &pb.Function{Name: r.Msg.Name}, r.Msg.Etag, r.Msg.AllowMissing)
	return answer(&pb.RemoveFunctionResponse{Outcome: outcome}, err)
}

func (s functions) GetFunction(ctx context.Context, r *connect.Request[pb.GetFunctionRequest]) (*connect.Response[pb.GetFunctionResponse], error) {
	got, err := get(ctx, s.h, &pb.Function{Name: r.Msg.Name})
	return answer(&pb.GetFunctionResponse{Function: got}, err)
}

func (s functions) ListFunctions(ctx context.Context, _ *connect.Request[pb.ListFunctionsRequest]) (*connect.Response[pb.ListFunctionsResponse], error) {
	all, err := list[*pb.Function](ctx, s.h, pb.Kind_KIND_FUNCTION, nil)
	return answer(&pb.ListFunctionsResponse{Functions: all}, err)
}

func (s functions) UpdateFunctionMap(ctx context.Context, r *connect.Request[pb.UpdateFunctionMapRequest]) (*connect.Response[pb.UpdateFunctionMapResponse], error) {
	written, deleted, err := s.h.UpdateFunctionMap(ctx, r.Msg, by(ctx))
	return answer(&pb.UpdateFunctionMapResponse{Written: uint32(written), Deleted: uint32(deleted)}, err)
}

func (s functions) ListFunctionMap(ctx context.Context, r *connect.Request[pb.ListFunctionMapRequest], stream *connect.ServerStream[pb.ListFunctionMapResponse]) error {
	return chunks(s.h.FunctionMap(ctx, r.Msg.Function, r.Msg.Map), func(all []*pb.MapEntry) error {
		return stream.Send(&pb.ListFunctionMapResponse{Entries: all})
	})
}
