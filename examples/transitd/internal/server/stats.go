// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"

	"connectrpc.com/connect"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/examples/transitd/internal/host"
)

type stats struct {
	h      *host.Host
	tables func(context.Context) ([]*pb.Table, error)
}

func (s stats) ListCounters(ctx context.Context, _ *connect.Request[pb.ListCountersRequest]) (*connect.Response[pb.ListCountersResponse], error) {
	return answer(s.h.Counters(ctx))
}

func (s stats) ListTraffic(ctx context.Context, r *connect.Request[pb.ListTrafficRequest]) (*connect.Response[pb.ListTrafficResponse], error) {
	return answer(s.h.Traffic(ctx, r.Msg.Vni))
}

func (s stats) ListTables(ctx context.Context, _ *connect.Request[pb.ListTablesRequest]) (*connect.Response[pb.ListTablesResponse], error) {
	all, err := s.tables(ctx)
	return answer(&pb.ListTablesResponse{Tables: all}, err)
}

func (s stats) ListDirects(ctx context.Context, r *connect.Request[pb.ListDirectsRequest], stream *connect.ServerStream[pb.ListDirectsResponse]) error {
	return chunks(s.h.Directs(ctx, r.Msg.Vni), func(some []*pb.Direct) error {
		return stream.Send(&pb.ListDirectsResponse{Directs: some})
	})
}

func (s stats) ListPaths(ctx context.Context, _ *connect.Request[pb.ListPathsRequest], stream *connect.ServerStream[pb.ListPathsResponse]) error {
	return chunks(s.h.Paths(ctx), func(some []*pb.Path) error { return stream.Send(&pb.ListPathsResponse{Paths: some}) })
}

func (s stats) TracePacket(ctx context.Context, r *connect.Request[pb.TracePacketRequest]) (*connect.Response[pb.TracePacketResponse], error) {
	return answer(s.h.Trace(ctx, r.Msg))
}

func (s stats) WatchEvents(ctx context.Context, r *connect.Request[pb.WatchEventsRequest], stream *connect.ServerStream[pb.WatchEventsResponse]) error {
	pass, err := host.EventFilter(r.Msg.Filter)
	if err != nil {
		return fail(err)
	}
	w := s.h.Watch(pass)
	defer w.Close()
	if err := stream.Send(&pb.WatchEventsResponse{}); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e := <-w.Events():
			if err := stream.Send(&pb.WatchEventsResponse{Event: e, Lost: w.Lost()}); err != nil {
				return err
			}
		}
	}
}

// answer wraps what a call gave.
func answer[T any](m *T, err error) (*connect.Response[T], error) {
	if err != nil {
		return nil, fail(err)
	}
	return connect.NewResponse(m), nil
}
