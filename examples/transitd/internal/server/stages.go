// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"

	"connectrpc.com/connect"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/examples/transitd/internal/host"
)

type stages struct{ h *host.Host }

func (s stages) SetStage(ctx context.Context, r *connect.Request[pb.SetStageRequest]) (*connect.Response[pb.SetStageResponse], error) {
	got, outcome, err := put(ctx, s.h, r.Msg.Stage)
	return answer(&pb.SetStageResponse{Stage: got, Outcome: outcome}, err)
}

func (s stages) ClearStage(ctx context.Context, r *connect.Request[pb.ClearStageRequest]) (*connect.Response[pb.ClearStageResponse], error) {
	outcome, err := remove(ctx, s.h, &pb.Stage{Scope: r.Msg.Scope}, r.Msg.Etag, r.Msg.AllowMissing)
	return answer(&pb.ClearStageResponse{Outcome: outcome}, err)
}

func (s stages) GetStage(ctx context.Context, r *connect.Request[pb.GetStageRequest]) (*connect.Response[pb.GetStageResponse], error) {
	got, err := get(ctx, s.h, &pb.Stage{Scope: r.Msg.Scope})
	return answer(&pb.GetStageResponse{Stage: got}, err)
}

func (s stages) ListStages(ctx context.Context, _ *connect.Request[pb.ListStagesRequest]) (*connect.Response[pb.ListStagesResponse], error) {
	all, err := list[*pb.Stage](ctx, s.h, pb.Kind_KIND_STAGE, nil)
	return answer(&pb.ListStagesResponse{Stages: all}, err)
}
