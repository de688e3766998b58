// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"io"

	"connectrpc.com/connect"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/examples/transitd/internal/host"
)

type endpoints struct{ h *host.Host }

func (s endpoints) CreateEndpoint(ctx context.Context, r *connect.Request[pb.CreateEndpointRequest]) (*connect.Response[pb.CreateEndpointResponse], error) {
	got, outcome, err := put(ctx, s.h, r.Msg.Endpoint)
	return answer(&pb.CreateEndpointResponse{Endpoint: got, Outcome: outcome}, err)
}

func (s endpoints) DeleteEndpoint(ctx context.Context, r *connect.Request[pb.DeleteEndpointRequest]) (*connect.Response[pb.DeleteEndpointResponse], error) {
	there, err := s.h.FindLocal(ctx, r.Msg.Key, r.Msg.HostInterface)
	if err != nil {
		err = fail(err)
		if r.Msg.AllowMissing && connect.CodeOf(err) == connect.CodeNotFound {
			return connect.NewResponse(&pb.DeleteEndpointResponse{Outcome: pb.Outcome_OUTCOME_UNCHANGED}), nil
		}
		return nil, err
	}
	outcome, err := remove(ctx, s.h, there, r.Msg.Etag, r.Msg.AllowMissing)
	return answer(&pb.DeleteEndpointResponse{Outcome: outcome}, err)
}

func (s endpoints) GetLocalEndpoint(ctx context.Context, r *connect.Request[pb.GetLocalEndpointRequest]) (*connect.Response[pb.GetLocalEndpointResponse], error) {
	got, err := s.h.FindLocal(ctx, r.Msg.Key, r.Msg.HostInterface)
	return answer(&pb.GetLocalEndpointResponse{Endpoint: got}, err)
}

func (s endpoints) ListLocalEndpoints(ctx context.Context, r *connect.Request[pb.ListLocalEndpointsRequest]) (*connect.Response[pb.ListLocalEndpointsResponse], error) {
	all, err := list(ctx, s.h, pb.Kind_KIND_LOCAL_ENDPOINT, func(e *pb.LocalEndpoint) bool { return r.Msg.Vni == 0 || e.Vni == r.Msg.Vni })
	return answer(&pb.ListLocalEndpointsResponse{LocalEndpoints: all}, err)
}

func (s endpoints) AddEndpoint(ctx context.Context, r *connect.Request[pb.AddEndpointRequest]) (*connect.Response[pb.AddEndpointResponse], error) {
	written, err := s.h.AddEndpoints(ctx, []*pb.Endpoint{r.Msg.Endpoint}, false, by(ctx))
	if err != nil {
		return nil, fail(err)
	}
	got, err := s.h.Endpoint(ctx, &pb.EndpointKey{Vni: r.Msg.Endpoint.Vni, Address: r.Msg.Endpoint.Address})
	return answer(&pb.AddEndpointResponse{Endpoint: got, Outcome: written.Outcome()}, err)
}

func (s endpoints) RemoveEndpoint(ctx context.Context, r *connect.Request[pb.RemoveEndpointRequest]) (*connect.Response[pb.RemoveEndpointResponse], error) {
	outcome, err := s.h.RemoveEndpoint(ctx, r.Msg.Key, r.Msg.Etag, r.Msg.AllowMissing, by(ctx))
	return answer(&pb.RemoveEndpointResponse{Outcome: outcome}, err)
}

func (s endpoints) GetEndpoint(ctx context.Context, r *connect.Request[pb.GetEndpointRequest]) (*connect.Response[pb.GetEndpointResponse], error) {
	got, err := s.h.Endpoint(ctx, r.Msg.Key)
	return answer(&pb.GetEndpointResponse{Endpoint: got}, err)
}

func (s endpoints) AddEndpoints(ctx context.Context, stream *connect.BidiStream[pb.AddEndpointsRequest, pb.AddEndpointsResponse]) error {
	total := &pb.AddEndpointsResponse{}
	return each(stream, func(r *pb.AddEndpointsRequest) (*pb.AddEndpointsResponse, error) {
		w, err := s.h.AddEndpoints(ctx, r.Endpoints, r.Overwrite, by(ctx))
		total.Added += uint64(w.Added + w.Replaced)
		total.Unchanged += uint64(w.Unchanged)
		return total, err
	})
}

func (s endpoints) RemoveEndpoints(ctx context.Context, stream *connect.BidiStream[pb.RemoveEndpointsRequest, pb.RemoveEndpointsResponse]) error {
	total := &pb.RemoveEndpointsResponse{}
	return each(stream, func(r *pb.RemoveEndpointsRequest) (*pb.RemoveEndpointsResponse, error) {
		removed, missing, err := s.h.RemoveEndpoints(ctx, r.Keys, by(ctx))
		total.Removed += uint64(removed)
		total.Missing += uint64(missing)
		return total, err
	})
}

// each answers each message of a stream.
func each[Request, Response any](stream *connect.BidiStream[Request, Response], do func(*Request) (*Response, error)) error {
	for {
		r, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		answer, err := do(r)
		if err != nil {
			return fail(err)
		}
		if err := stream.Send(answer); err != nil {
			return err
		}
	}
}

func (s endpoints) ListEndpoints(ctx context.Context, r *connect.Request[pb.ListEndpointsRequest], stream *connect.ServerStream[pb.ListEndpointsResponse]) error {
	return chunks(s.h.EndpointsOf(ctx, r.Msg.Vni, r.Msg.Host), func(some []*pb.Endpoint) error {
		return stream.Send(&pb.ListEndpointsResponse{Endpoints: some})
	})
}
