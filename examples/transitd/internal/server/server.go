// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"net/http"

	"connectrpc.com/connect"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	api "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1/dataplanev1connect"
	"github.com/mizar-go/mizar/examples/transitd/internal/host"
)

// Services are the names of all that is served, for health and reflection.
func Services() []string {
	return []string{
		api.PeerServiceName, api.DropletServiceName, api.VpcServiceName, api.NetworkServiceName, api.EndpointServiceName,
		api.FunctionServiceName, api.StageServiceName, api.PlumbingServiceName, api.StatsServiceName, api.HostServiceName,
	}
}

// Options are what the services need beside the host.
type Options struct {
	// Tables tells how full the tables are.
	Tables func(context.Context) ([]*pb.Table, error)
	// Handler are for all services.
	Handler []connect.HandlerOption
}

// Register serves a host.
func Register(mux *http.ServeMux, h *host.Host, o Options) {
	o.Handler = append([]connect.HandlerOption{codecs()}, o.Handler...)
	for _, s := range []func() (string, http.Handler){
		func() (string, http.Handler) { return api.NewPeerServiceHandler(peers{h}, o.Handler...) },
		func() (string, http.Handler) { return api.NewDropletServiceHandler(droplets{h}, o.Handler...) },
		func() (string, http.Handler) { return api.NewVpcServiceHandler(vpcs{h}, o.Handler...) },
		func() (string, http.Handler) { return api.NewNetworkServiceHandler(networks{h}, o.Handler...) },
		func() (string, http.Handler) { return api.NewEndpointServiceHandler(endpoints{h}, o.Handler...) },
		func() (string, http.Handler) { return api.NewFunctionServiceHandler(functions{h}, o.Handler...) },
		func() (string, http.Handler) { return api.NewStageServiceHandler(stages{h}, o.Handler...) },
		func() (string, http.Handler) { return api.NewPlumbingServiceHandler(plumbing{h}, o.Handler...) },
		func() (string, http.Handler) {
			return api.NewStatsServiceHandler(stats{h, o.Tables}, o.Handler...)
		},
		func() (string, http.Handler) { return api.NewHostServiceHandler(hosts{h}, o.Handler...) },
	} {
		mux.Handle(s())
	}
}
