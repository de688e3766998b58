// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"

	"connectrpc.com/connect"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/examples/transitd/internal/host"
)

type hosts struct{ h *host.Host }

func (s hosts) Apply(ctx context.Context, r *connect.Request[pb.ApplyRequest]) (*connect.Response[pb.ApplyResponse], error) {
	return answer(s.h.Apply(ctx, r.Msg, by(ctx)))
}

func (s hosts) GetState(ctx context.Context, r *connect.Request[pb.GetStateRequest], stream *connect.ServerStream[pb.GetStateResponse]) error {
	for some, err := range s.h.State(ctx, r.Msg.Kinds, r.Msg.Objects, chunk) {
		if err != nil {
			return fail(err)
		}
		if err := stream.Send(some); err != nil {
			return err
		}
	}
	return nil
}

func (s hosts) GetHealth(ctx context.Context, _ *connect.Request[pb.GetHealthRequest]) (*connect.Response[pb.GetHealthResponse], error) {
	return answer(s.h.Health(ctx))
}

func (s hosts) GetVersion(_ context.Context, _ *connect.Request[pb.GetVersionRequest]) (*connect.Response[pb.GetVersionResponse], error) {
	return answer(s.h.Version())
}
