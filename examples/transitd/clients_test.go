// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	api "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1/dataplanev1connect"
	"github.com/mizar-go/mizar/examples/internal/lab"
	"github.com/mizar-go/mizar/examples/transitd/internal/server"
	"github.com/mizar-go/mizar/internal/testutil"
)

// client is one way to speak to a daemon: it makes a VPC, and an endpoint in it, and says where another one lives.
type client interface {
	addVpc(t *testing.T, d *node, vni uint32)
	create(t *testing.T, d *node, vni uint32, address netip.Prefix, netns string)
	add(t *testing.T, d *node, vni uint32, address, host netip.Addr)
}

// Whatever language a client is written in, endpoints that it made carry traffic: by curl or by JSON from a program, by
// grpcurl, which knows nothing of the API but what the daemon tells, and by a client of generated code in each of the
// protocols.
func TestClients(t *testing.T) {
	testutil.Root(t)
	testutil.Leaks(t)
	sw, err := lab.NewSwitch(true)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, sw.Close()) })
	const small = "limits: {endpoints: 1024, directs: 16384, paths: 16384}"
	a := startDaemon(t, sw, "a", "192.0.2.1/24", small)
	b := startDaemon(t, sw, "b", "192.0.2.2/24", small)
	for _, d := range []*node{a, b} {
		_, err := d.hosts().Apply(t.Context(), connect.NewRequest(&pb.ApplyRequest{State: &pb.State{
			Peers:    []*pb.Peer{{Prefix: "192.0.2.0/24"}},
			Droplets: []*pb.Droplet{{Interface: lab.Uplink}},
		}}))
		require.NoError(t, err)
	}
	for i, c := range []struct {
		name   string
		client func(t *testing.T) client
	}{
		{"JSON", func(*testing.T) client { return text{byHTTP} }},
		{"curl", func(t *testing.T) client { return text{byCurl(program(t, "curl", "CURL"))} }},
		{"grpcurl", func(t *testing.T) client { return text{byGrpcurl(program(t, "grpcurl", "GRPCURL"))} }},
		{"Go, Connect", func(*testing.T) client { return generated{} }},
		{"Go, gRPC", func(*testing.T) client { return generated{connect.WithGRPC()} }},
		{"Go, gRPC-Web", func(*testing.T) client { return generated{connect.WithGRPCWeb()} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, vni := c.client(t), uint32(i+1)
			at, bt := netip.MustParsePrefix("10.0.0.1/24"), netip.MustParsePrefix("10.0.0.2/24")
			from, fromName := workload(t)
			_, toName := workload(t)
			client.addVpc(t, a, vni)
			client.addVpc(t, b, vni)
			client.create(t, a, vni, at, fromName)
			client.create(t, b, vni, bt, toName)
			client.add(t, b, vni, at.Addr(), a.Addr)
			_, err := from.Ping(t.Context(), bt.Addr(), 1)
			require.Error(t, err, "a was not told where it lives")
			client.add(t, a, vni, bt.Addr(), b.Addr)
			_, err = from.Ping(t.Context(), bt.Addr(), 3)
			require.NoError(t, err)
		})
	}
	t.Run("grpcurl, list", func(t *testing.T) {
		out, err := exec.CommandContext(t.Context(), program(t, "grpcurl", "GRPCURL"), "-plaintext", "-unix", a.socket, "list").CombinedOutput()
		require.NoError(t, err, string(out))
		require.Subset(t, strings.Fields(string(out)), server.Services())
	})
}

// program finds one, by the environment or in the PATH. In CI it has to be there.
func program(t *testing.T, name, env string) string {
	t.Helper()
	if path := os.Getenv(env); path != "" {
		return path
	}
	path, err := exec.LookPath(name)
	if err != nil && os.Getenv("CI") != "true" {
		t.Skipf("%s is not here: name it with $%s", name, env)
	}
	require.NoError(t, err)
	return path
}

// text is a client that sends JSON as a person would write it.
type text struct {
	send func(ctx context.Context, d *node, service, method, body string) (string, error)
}

func (c text) call(t *testing.T, d *node, service, method, body string) {
	t.Helper()
	answer, err := c.send(t.Context(), d, "mizar.dataplane.v1."+service, method, body)
	require.NoError(t, err, answer)
	require.Contains(t, answer, "OUTCOME_ADDED")
}

func (c text) addVpc(t *testing.T, d *node, vni uint32) {
	c.call(t, d, "VpcService", "AddVpc", fmt.Sprintf(`{"vpc": {"vni": %d}}`, vni))
}

func (c text) create(t *testing.T, d *node, vni uint32, address netip.Prefix, netns string) {
	c.call(t, d, "EndpointService", "CreateEndpoint",
		fmt.Sprintf(`{"endpoint": {"vni": %d, "addresses": ["%s"], "netns": "%s"}}`, vni, address, netns))
}

func (c text) add(t *testing.T, d *node, vni uint32, address, host netip.Addr) {
	c.call(t, d, "EndpointService", "AddEndpoint",
		fmt.Sprintf(`{"endpoint": {"vni": %d, "address": "%s", "host": "%s"}}`, vni, address, host))
}

// byHTTP sends what curl does, without it.
func byHTTP(ctx context.Context, d *node, service, method, body string) (string, error) {
	c := overSocket(d.socket, false)
	defer c.CloseIdleConnections()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://localhost/"+service+"/"+method, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := c.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %s", answer.Status)
	}
	return string(said), err
}

func byCurl(curl string) func(ctx context.Context, d *node, service, method, body string) (string, error) {
	return func(ctx context.Context, d *node, service, method, body string) (string, error) {
		out, err := exec.CommandContext(ctx, curl, "--silent", "--show-error", "--fail-with-body", "--unix-socket", d.socket,
			"--header", "Content-Type: application/json", "--data", body, "http://localhost/"+service+"/"+method).CombinedOutput()
		return string(out), err
	}
}

// byGrpcurl has no file of the API: it asks the daemon, by reflection.
func byGrpcurl(grpcurl string) func(ctx context.Context, d *node, service, method, body string) (string, error) {
	return func(ctx context.Context, d *node, service, method, body string) (string, error) {
		out, err := exec.CommandContext(ctx, grpcurl, "-plaintext", "-unix", "-d", body, d.socket, service+"/"+method).CombinedOutput()
		return string(out), err
	}
}

// generated is a client of generated code, in a protocol.
type generated []connect.ClientOption

func (c generated) addVpc(t *testing.T, d *node, vni uint32) {
	got, err := api.NewVpcServiceClient(d.http, "http://transitd", c...).
		AddVpc(t.Context(), connect.NewRequest(&pb.AddVpcRequest{Vpc: &pb.Vpc{Vni: vni}}))
	require.NoError(t, err)
	require.Equal(t, pb.Outcome_OUTCOME_ADDED, got.Msg.Outcome)
}

func (c generated) create(t *testing.T, d *node, vni uint32, address netip.Prefix, netns string) {
	got, err := c.endpoints(d).CreateEndpoint(t.Context(), connect.NewRequest(&pb.CreateEndpointRequest{Endpoint: &pb.LocalEndpoint{
		Vni: vni, Addresses: []string{address.String()}, Place: &pb.LocalEndpoint_Netns{Netns: netns},
	}}))
	require.NoError(t, err)
	require.Equal(t, pb.Outcome_OUTCOME_ADDED, got.Msg.Outcome)
}

func (c generated) add(t *testing.T, d *node, vni uint32, address, host netip.Addr) {
	got, err := c.endpoints(d).AddEndpoint(t.Context(), connect.NewRequest(&pb.AddEndpointRequest{Endpoint: &pb.Endpoint{
		Vni: vni, Address: address.String(), Host: host.String(),
	}}))
	require.NoError(t, err)
	require.Equal(t, pb.Outcome_OUTCOME_ADDED, got.Msg.Outcome)
}

func (c generated) endpoints(d *node) api.EndpointServiceClient {
	return api.NewEndpointServiceClient(d.http, "http://transitd", c...)
}
