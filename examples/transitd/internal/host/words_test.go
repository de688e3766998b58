// SPDX-License-Identifier: Apache-2.0

package host

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/mizar-go/mizar/dataplane"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// A plan is read by people: what differs is told as a file has it.
func TestDifference(t *testing.T) {
	for _, c := range []struct {
		was, want proto.Message
		says      string
	}{
		{&pb.Vpc{Vni: 7}, &pb.Vpc{Vni: 7, Dividers: []string{"192.0.2.1", "192.0.2.2"}}, "dividers: [192.0.2.1, 192.0.2.2], was []"},
		{&pb.Vpc{Vni: 7, NoDirectPath: true}, &pb.Vpc{Vni: 7, Cookie: 5}, "noDirectPath: false, was true, cookie: 5, was none"},
		{&pb.Droplet{Interface: "a", Mode: pb.Mode_MODE_TCX}, &pb.Droplet{Interface: "a"}, "mode: none, was MODE_TCX"},
		{
			&pb.LocalEndpoint{Vni: 7, Place: &pb.LocalEndpoint_Netns{Netns: "web"}, Routes: []*pb.WorkloadRoute{{Destination: "10.0.0.0/8", Via: "10.0.0.1"}}},
			&pb.LocalEndpoint{Vni: 7, Place: &pb.LocalEndpoint_Bridge{Bridge: &pb.BridgePort{Bridge: "br0"}}},
			`routes: [], was [{"destination":"10.0.0.0/8","via":"10.0.0.1"}], netns: none, was web, bridge: {"bridge":"br0"}, was none`,
		},
		{
			&pb.Function{Name: "f", Object: []byte{1}}, &pb.Function{Name: "f", Object: []byte{2}, Variables: map[string][]byte{"limit": {1}}},
			"another object, variables: 1 of them, was 0 of them",
		},
	} {
		require.Equal(t, c.says, difference(c.want, &have{msg: c.was}))
	}
}

// An error of no resource names none.
func TestErrorText(t *testing.T) {
	require.Equal(t, "state: has changed since it was read", (&Error{Etag: "e", Err: ErrEtag}).Error())
	require.Equal(t, "vni: 0 is none", (&Error{Field: "vni", Err: wrong("vni", "0 is none")}).Error())
	require.Equal(t, "vpc: vni: 0 is none", (&Error{Kind: pb.Kind_KIND_VPC, Field: "vni", Err: wrong("vni", "0 is none")}).Error())
	require.Equal(t, "local endpoint 7/10.0.0.1: not found", (&Error{Kind: pb.Kind_KIND_LOCAL_ENDPOINT, Key: "7/10.0.0.1", Err: dataplane.ErrNotFound}).Error())
}

// An endpoint that is both here and elsewhere: the error says where else.
func TestTwiceInState(t *testing.T) {
	h := &Host{kinds: map[pb.Kind]kind{pb.Kind_KIND_LOCAL_ENDPOINT: localEndpoints(nil, nil)}}
	_, err := h.goal(&pb.ApplyRequest{State: &pb.State{
		LocalEndpoints: []*pb.LocalEndpoint{{Vni: 7, Addresses: []string{"10.0.0.1/24"}}},
		Endpoints:      []*pb.Endpoint{{Vni: 7, Address: "10.0.0.1", Host: "192.0.2.2"}},
	}})
	require.ErrorContains(t, err, "7/10.0.0.1 is in the state twice (an endpoint of another host)")
}

// What makes no sense stays as it came: it is in the error, and in the key that the error names.
func TestSenseless(t *testing.T) {
	m := &pb.Address{Interface: "eth0", Address: "192.0.2.50"}
	_, err := toAddress(m)
	require.ErrorContains(t, err, `"192.0.2.50" is no prefix`)
	require.Equal(t, "192.0.2.50", m.Address)
	e := &pb.Endpoint{Vni: 7, Address: "web", Host: "192.0.2.1"}
	_, _, err = toEndpoint(e)
	require.ErrorContains(t, err, `"web" is no address`)
	require.Equal(t, "web", e.Address)
}
