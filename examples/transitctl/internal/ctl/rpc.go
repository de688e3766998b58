// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"context"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1/dataplanev1connect"
)

// api is all that a daemon can be asked for.
type api struct {
	dataplanev1connect.DropletServiceClient
	dataplanev1connect.EndpointServiceClient
	dataplanev1connect.FunctionServiceClient
	dataplanev1connect.HostServiceClient
	dataplanev1connect.NetworkServiceClient
	dataplanev1connect.PeerServiceClient
	dataplanev1connect.PlumbingServiceClient
	dataplanev1connect.StageServiceClient
	dataplanev1connect.StatsServiceClient
	dataplanev1connect.VpcServiceClient
}

func newAPI(client connect.HTTPClient, base string) *api {
	// gRPC: its errors come in trailers also where a stream is half over.
	grpc := connect.WithGRPC()
	return &api{
		dataplanev1connect.NewDropletServiceClient(client, base, grpc),
		dataplanev1connect.NewEndpointServiceClient(client, base, grpc),
		dataplanev1connect.NewFunctionServiceClient(client, base, grpc),
		dataplanev1connect.NewHostServiceClient(client, base, grpc),
		dataplanev1connect.NewNetworkServiceClient(client, base, grpc),
		dataplanev1connect.NewPeerServiceClient(client, base, grpc),
		dataplanev1connect.NewPlumbingServiceClient(client, base, grpc),
		dataplanev1connect.NewStageServiceClient(client, base, grpc),
		dataplanev1connect.NewStatsServiceClient(client, base, grpc),
		dataplanev1connect.NewVpcServiceClient(client, base, grpc),
	}
}

// rpc is a call without its types, so that nouns can be a table.
type rpc struct {
	request, response func() proto.Message
	streamed          bool
	// call has each see every message of the answer: one, or those of a stream.
	call func(ctx context.Context, a *api, in proto.Message, each func(proto.Message) error) error
}

func newMessage[T any]() proto.Message { return any(new(T)).(proto.Message) }

// unary takes a method with one answer: unary((*api).AddVpc).
func unary[I, O any](m func(*api, context.Context, *connect.Request[I]) (*connect.Response[O], error)) *rpc {
	return &rpc{newMessage[I], newMessage[O], false, func(ctx context.Context, a *api, in proto.Message, each func(proto.Message) error) error {
		out, err := m(a, ctx, connect.NewRequest(any(in).(*I)))
		if err != nil {
			return err
		}
		return each(any(out.Msg).(proto.Message))
	}}
}

// stream takes a method with many.
func stream[I, O any](m func(*api, context.Context, *connect.Request[I]) (*connect.ServerStreamForClient[O], error)) *rpc {
	return &rpc{newMessage[I], newMessage[O], true, func(ctx context.Context, a *api, in proto.Message, each func(proto.Message) error) error {
		ctx, cancel := context.WithCancel(ctx) // Close waits for the stream's end otherwise
		defer cancel()
		s, err := m(a, ctx, connect.NewRequest(any(in).(*I)))
		if err != nil {
			return err
		}
		defer s.Close()
		for s.Receive() {
			// Receive reuses nothing: the message is the caller's.
			if err := each(any(s.Msg()).(proto.Message)); err != nil {
				cancel()
				return err
			}
		}
		return s.Err()
	}}
}

// merged is the whole answer in one message: lists are continued from message to message.
func (r *rpc) merged(ctx context.Context, a *api, in proto.Message) (proto.Message, error) {
	all := r.response()
	err := r.call(ctx, a, in, func(m proto.Message) error {
		proto.Merge(all, m)
		return nil
	})
	return all, err
}
