// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/examples/internal/lab"
	"github.com/mizar-go/mizar/examples/transitd/internal/host"
	"github.com/mizar-go/mizar/examples/transitd/internal/ovs/ovstest"
	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/testutil"
)

// While Open vSwitch does not answer, an endpoint at its bridge can be neither deleted nor replaced. Whoever tries leaves
// it as it was, with its traffic.
func TestSwitchAway(t *testing.T) {
	var sw *ovstest.Switch
	a, _ := twoHosts(t, func(ns *netns.Handle) host.Options {
		sw = ovstest.Start(t, ns.Do)
		sw.Bridge("br0")
		return host.Options{OVS: sw.Socket()}
	})
	name := fmt.Sprintf("mizar-test-%s", filepath.Base(filepath.Dir(t.TempDir())))
	workload, err := lab.NewNamed(name)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, lab.RemoveNamed(name)) })
	t.Cleanup(func() { require.NoError(t, workload.Close()) })
	const format = `{"vpcs":[{"vni":7}], "localEndpoints":[{"vni":7,"addresses":["10.0.0.1/24"],%s}]}`
	state := fmt.Sprintf(format, `"mac":"02:00:00:00:00:01","ovs":{"bridge":"br0"},"hostInterface":"ep1"`)
	a.apply(state)
	before := a.local()
	sw.StopServer()
	for what, call := range map[string]func() error{
		"delete": func() error {
			_, err := a.endpoints.DeleteEndpoint(t.Context(), request(&pb.DeleteEndpointRequest{HostInterface: "ep1"}))
			return err
		},
		"apply without": func() error {
			_, err := a.tryApply(`{}`)
			return err
		},
		"apply another": func() error {
			_, err := a.tryApply(fmt.Sprintf(format, fmt.Sprintf(`"netns":%q`, name)))
			return err
		},
		"put another": func() error {
			e := &pb.LocalEndpoint{Vni: 7, Addresses: []string{"10.0.0.1/24"}, Place: &pb.LocalEndpoint_Netns{Netns: name}, Etag: "*"}
			_, err := a.endpoints.CreateEndpoint(t.Context(), request(&pb.CreateEndpointRequest{Endpoint: e}))
			return err
		},
	} {
		t.Run(what, func(t *testing.T) {
			require.Equal(t, connect.CodeUnavailable, connect.CodeOf(call()))
			now := a.local()
			require.Equal(t, before.Etag, now.Etag)
			require.False(t, now.Status.Gone || now.Status.Partial)
			require.Equal(t, before.Status.Ifindex, now.Status.Ifindex, "it was never taken away")
			require.Equal(t, "up", testutil.Link(t, a.ns, "ep1").Attrs().OperState.String())
		})
	}
	sw.StartServer()
	testutil.Eventually(t, 15*time.Second, func() error {
		_, err := a.tryApply(`{}`)
		return err
	})
	require.False(t, testutil.Exists(t, a.ns, "ep1"))
	require.NotContains(t, sw.Vsctl("list-ports", "br0"), "td", "its port is gone")
}
