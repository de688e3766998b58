// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"context"
	"fmt"

	"connectrpc.com/connect"

	v1 "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// The calls of every kind of resource.

func (f *fake) AddPeer(_ context.Context, r *connect.Request[v1.AddPeerRequest]) (*connect.Response[v1.AddPeerResponse], error) {
	return put1[v1.AddPeerResponse](f, v1.Kind_KIND_PEER, r.Msg.GetPeer())
}

func (f *fake) RemovePeer(_ context.Context, r *connect.Request[v1.RemovePeerRequest]) (*connect.Response[v1.RemovePeerResponse], error) {
	return remove1[v1.RemovePeerResponse](f, v1.Kind_KIND_PEER, r.Msg.GetPrefix(), r.Msg)
}

func (f *fake) GetPeer(_ context.Context, r *connect.Request[v1.GetPeerRequest]) (*connect.Response[v1.GetPeerResponse], error) {
	return get1[v1.GetPeerResponse](f, v1.Kind_KIND_PEER, r.Msg.GetPrefix())
}

func (f *fake) ListPeers(_ context.Context, _ *connect.Request[v1.ListPeersRequest]) (*connect.Response[v1.ListPeersResponse], error) {
	return list1[v1.ListPeersResponse](f, v1.Kind_KIND_PEER, 0)
}

func (f *fake) AttachDroplet(_ context.Context, r *connect.Request[v1.AttachDropletRequest]) (*connect.Response[v1.AttachDropletResponse], error) {
	return put1[v1.AttachDropletResponse](f, v1.Kind_KIND_DROPLET, r.Msg.GetDroplet())
}

func (f *fake) DetachDroplet(_ context.Context, r *connect.Request[v1.DetachDropletRequest]) (*connect.Response[v1.DetachDropletResponse], error) {
	return remove1[v1.DetachDropletResponse](f, v1.Kind_KIND_DROPLET, r.Msg.GetInterface(), r.Msg)
}

func (f *fake) GetDroplet(_ context.Context, r *connect.Request[v1.GetDropletRequest]) (*connect.Response[v1.GetDropletResponse], error) {
	return get1[v1.GetDropletResponse](f, v1.Kind_KIND_DROPLET, r.Msg.GetInterface())
}

func (f *fake) ListDroplets(_ context.Context, _ *connect.Request[v1.ListDropletsRequest]) (*connect.Response[v1.ListDropletsResponse], error) {
	return list1[v1.ListDropletsResponse](f, v1.Kind_KIND_DROPLET, 0)
}

func (f *fake) AddVpc(_ context.Context, r *connect.Request[v1.AddVpcRequest]) (*connect.Response[v1.AddVpcResponse], error) {
	return put1[v1.AddVpcResponse](f, v1.Kind_KIND_VPC, r.Msg.GetVpc())
}

func (f *fake) RemoveVpc(_ context.Context, r *connect.Request[v1.RemoveVpcRequest]) (*connect.Response[v1.RemoveVpcResponse], error) {
	return remove1[v1.RemoveVpcResponse](f, v1.Kind_KIND_VPC, fmt.Sprint(r.Msg.GetVni()), r.Msg)
}

func (f *fake) GetVpc(_ context.Context, r *connect.Request[v1.GetVpcRequest]) (*connect.Response[v1.GetVpcResponse], error) {
	return get1[v1.GetVpcResponse](f, v1.Kind_KIND_VPC, fmt.Sprint(r.Msg.GetVni()))
}

func (f *fake) ListVpcs(_ context.Context, _ *connect.Request[v1.ListVpcsRequest]) (*connect.Response[v1.ListVpcsResponse], error) {
	return list1[v1.ListVpcsResponse](f, v1.Kind_KIND_VPC, 0)
}

func (f *fake) AddNetwork(_ context.Context, r *connect.Request[v1.AddNetworkRequest]) (*connect.Response[v1.AddNetworkResponse], error) {
	return put1[v1.AddNetworkResponse](f, v1.Kind_KIND_NETWORK, r.Msg.GetNetwork())
}

func (f *fake) RemoveNetwork(_ context.Context, r *connect.Request[v1.RemoveNetworkRequest]) (*connect.Response[v1.RemoveNetworkResponse], error) {
	return remove1[v1.RemoveNetworkResponse](f, v1.Kind_KIND_NETWORK, vniKey(r.Msg.GetVni(), r.Msg.GetPrefix()), r.Msg)
}

func (f *fake) GetNetwork(_ context.Context, r *connect.Request[v1.GetNetworkRequest]) (*connect.Response[v1.GetNetworkResponse], error) {
	return get1[v1.GetNetworkResponse](f, v1.Kind_KIND_NETWORK, vniKey(r.Msg.GetVni(), r.Msg.GetPrefix()))
}

func (f *fake) ListNetworks(_ context.Context, r *connect.Request[v1.ListNetworksRequest]) (*connect.Response[v1.ListNetworksResponse], error) {
	return list1[v1.ListNetworksResponse](f, v1.Kind_KIND_NETWORK, r.Msg.GetVni())
}

func (f *fake) AddEndpoint(_ context.Context, r *connect.Request[v1.AddEndpointRequest]) (*connect.Response[v1.AddEndpointResponse], error) {
	return put1[v1.AddEndpointResponse](f, v1.Kind_KIND_ENDPOINT, r.Msg.GetEndpoint())
}

func (f *fake) RemoveEndpoint(_ context.Context, r *connect.Request[v1.RemoveEndpointRequest]) (*connect.Response[v1.RemoveEndpointResponse], error) {
	return remove1[v1.RemoveEndpointResponse](f, v1.Kind_KIND_ENDPOINT, vniKey(r.Msg.GetKey().GetVni(), r.Msg.GetKey().GetAddress()), r.Msg)
}

func (f *fake) GetEndpoint(_ context.Context, r *connect.Request[v1.GetEndpointRequest]) (*connect.Response[v1.GetEndpointResponse], error) {
	return get1[v1.GetEndpointResponse](f, v1.Kind_KIND_ENDPOINT, vniKey(r.Msg.GetKey().GetVni(), r.Msg.GetKey().GetAddress()))
}

func (f *fake) CreateEndpoint(_ context.Context, r *connect.Request[v1.CreateEndpointRequest]) (*connect.Response[v1.CreateEndpointResponse], error) {
	return put1[v1.CreateEndpointResponse](f, v1.Kind_KIND_LOCAL_ENDPOINT, r.Msg.GetEndpoint())
}

func (f *fake) DeleteEndpoint(_ context.Context, r *connect.Request[v1.DeleteEndpointRequest]) (*connect.Response[v1.DeleteEndpointResponse], error) {
	return remove1[v1.DeleteEndpointResponse](f, v1.Kind_KIND_LOCAL_ENDPOINT, vniKey(r.Msg.GetKey().GetVni(), r.Msg.GetKey().GetAddress()), r.Msg)
}

func (f *fake) GetLocalEndpoint(_ context.Context, r *connect.Request[v1.GetLocalEndpointRequest]) (*connect.Response[v1.GetLocalEndpointResponse], error) {
	key := vniKey(r.Msg.GetKey().GetVni(), r.Msg.GetKey().GetAddress())
	if r.Msg.GetHostInterface() != "" {
		key = f.at(r.Msg.GetHostInterface())
	}
	return get1[v1.GetLocalEndpointResponse](f, v1.Kind_KIND_LOCAL_ENDPOINT, key)
}

// at is the key of the endpoint at an interface; the name itself where there is none.
func (f *fake) at(name string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.rows[v1.Kind_KIND_LOCAL_ENDPOINT] {
		if show(m, "status.host_interface") == name {
			return f.noun(v1.Kind_KIND_LOCAL_ENDPOINT).keyOf(m)
		}
	}
	return name
}

func (f *fake) ListLocalEndpoints(_ context.Context, r *connect.Request[v1.ListLocalEndpointsRequest]) (*connect.Response[v1.ListLocalEndpointsResponse], error) {
	return list1[v1.ListLocalEndpointsResponse](f, v1.Kind_KIND_LOCAL_ENDPOINT, r.Msg.GetVni())
}

func (f *fake) LoadFunction(_ context.Context, r *connect.Request[v1.LoadFunctionRequest]) (*connect.Response[v1.LoadFunctionResponse], error) {
	return put1[v1.LoadFunctionResponse](f, v1.Kind_KIND_FUNCTION, r.Msg.GetFunction())
}

func (f *fake) RemoveFunction(_ context.Context, r *connect.Request[v1.RemoveFunctionRequest]) (*connect.Response[v1.RemoveFunctionResponse], error) {
	return remove1[v1.RemoveFunctionResponse](f, v1.Kind_KIND_FUNCTION, r.Msg.GetName(), r.Msg)
}

func (f *fake) GetFunction(_ context.Context, r *connect.Request[v1.GetFunctionRequest]) (*connect.Response[v1.GetFunctionResponse], error) {
	return get1[v1.GetFunctionResponse](f, v1.Kind_KIND_FUNCTION, r.Msg.GetName())
}

func (f *fake) ListFunctions(_ context.Context, _ *connect.Request[v1.ListFunctionsRequest]) (*connect.Response[v1.ListFunctionsResponse], error) {
	return list1[v1.ListFunctionsResponse](f, v1.Kind_KIND_FUNCTION, 0)
}

func (f *fake) SetStage(_ context.Context, r *connect.Request[v1.SetStageRequest]) (*connect.Response[v1.SetStageResponse], error) {
	return put1[v1.SetStageResponse](f, v1.Kind_KIND_STAGE, r.Msg.GetStage())
}

func (f *fake) ClearStage(_ context.Context, r *connect.Request[v1.ClearStageRequest]) (*connect.Response[v1.ClearStageResponse], error) {
	return remove1[v1.ClearStageResponse](f, v1.Kind_KIND_STAGE, scopeKey(r.Msg.GetScope()), r.Msg)
}

func (f *fake) GetStage(_ context.Context, r *connect.Request[v1.GetStageRequest]) (*connect.Response[v1.GetStageResponse], error) {
	return get1[v1.GetStageResponse](f, v1.Kind_KIND_STAGE, scopeKey(r.Msg.GetScope()))
}

func (f *fake) ListStages(_ context.Context, _ *connect.Request[v1.ListStagesRequest]) (*connect.Response[v1.ListStagesResponse], error) {
	return list1[v1.ListStagesResponse](f, v1.Kind_KIND_STAGE, 0)
}

func (f *fake) AddBridge(_ context.Context, r *connect.Request[v1.AddBridgeRequest]) (*connect.Response[v1.AddBridgeResponse], error) {
	return put1[v1.AddBridgeResponse](f, v1.Kind_KIND_BRIDGE, r.Msg.GetBridge())
}

func (f *fake) RemoveBridge(_ context.Context, r *connect.Request[v1.RemoveBridgeRequest]) (*connect.Response[v1.RemoveBridgeResponse], error) {
	return remove1[v1.RemoveBridgeResponse](f, v1.Kind_KIND_BRIDGE, r.Msg.GetName(), r.Msg)
}

func (f *fake) ListBridges(_ context.Context, _ *connect.Request[v1.ListBridgesRequest]) (*connect.Response[v1.ListBridgesResponse], error) {
	return list1[v1.ListBridgesResponse](f, v1.Kind_KIND_BRIDGE, 0)
}

func (f *fake) AddRoute(_ context.Context, r *connect.Request[v1.AddRouteRequest]) (*connect.Response[v1.AddRouteResponse], error) {
	return put1[v1.AddRouteResponse](f, v1.Kind_KIND_ROUTE, r.Msg.GetRoute())
}

func (f *fake) RemoveRoute(_ context.Context, r *connect.Request[v1.RemoveRouteRequest]) (*connect.Response[v1.RemoveRouteResponse], error) {
	return remove1[v1.RemoveRouteResponse](f, v1.Kind_KIND_ROUTE, showRouteKey(&v1.Route{Table: r.Msg.GetTable(), Destination: r.Msg.GetDestination()}), r.Msg)
}

func (f *fake) ListRoutes(_ context.Context, _ *connect.Request[v1.ListRoutesRequest]) (*connect.Response[v1.ListRoutesResponse], error) {
	return list1[v1.ListRoutesResponse](f, v1.Kind_KIND_ROUTE, 0)
}

func (f *fake) AddAddress(_ context.Context, r *connect.Request[v1.AddAddressRequest]) (*connect.Response[v1.AddAddressResponse], error) {
	return put1[v1.AddAddressResponse](f, v1.Kind_KIND_ADDRESS, r.Msg.GetAddress())
}

func (f *fake) RemoveAddress(_ context.Context, r *connect.Request[v1.RemoveAddressRequest]) (*connect.Response[v1.RemoveAddressResponse], error) {
	return remove1[v1.RemoveAddressResponse](f, v1.Kind_KIND_ADDRESS, r.Msg.GetInterface()+"/"+r.Msg.GetAddress(), r.Msg)
}

func (f *fake) ListAddresses(_ context.Context, _ *connect.Request[v1.ListAddressesRequest]) (*connect.Response[v1.ListAddressesResponse], error) {
	return list1[v1.ListAddressesResponse](f, v1.Kind_KIND_ADDRESS, 0)
}
