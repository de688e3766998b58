// SPDX-License-Identifier: Apache-2.0

package host

import (
	"testing"

	"github.com/stretchr/testify/require"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// TestTrace is of what tables alone do not say: whose functions a packet runs through, and what is nobody's.
func TestTrace(t *testing.T) {
	w := newWorld(t)
	w.open(t)
	ns, _ := named(t, "one")
	w.apply(t, state(t, `{"vpcs":[{"vni":7}],"peers":[{"prefix":"192.0.2.0/24"}],"droplets":[{"interface":"eth0"}],
		"functions":[{"name":"firewall","object":%q}],
		"stages":[{"scope":{"point":"STAGE_POINT_SEND","vni":7,"address":"10.0.0.1"},"functions":["firewall"]}],
		"networks":[{"vni":7,"prefix":"10.0.0.0/24","bouncers":["192.0.2.2"]}],
		"localEndpoints":[{"vni":7,"addresses":["10.0.0.1/24"],"allowed":["10.1.0.0/24"],"netns":%q,"hostInterface":"mzt"}]}`, file("firewall"), ns))
	for _, c := range []struct {
		src, dst, from string
		verdict        string
		keys           []string
	}{
		{"10.0.0.1", "10.0.0.2", "", "SEND_BOUNCER", []string{"7/10.0.0.1", "send of endpoint 10.0.0.1 of VPC 7", "7/10.0.0.2", "7/10.0.0.2", "7/10.0.0.2"}},
		// From an address that is only allowed, it is the same endpoint's packet.
		{"10.1.0.5", "10.0.0.2", "", "SEND_BOUNCER", []string{"7/10.1.0.5", "10.1.0.5", "send of endpoint 10.0.0.1 of VPC 7", "7/10.0.0.2", "7/10.0.0.2", "7/10.0.0.2"}},
		{"10.0.0.1", "224.0.0.1", "", "DROP_MULTICAST", []string{"10.0.0.1 to 224.0.0.1"}},
		{"10.0.0.1", "255.255.255.255", "", "DROP_MULTICAST", []string{"10.0.0.1 to 255.255.255.255"}},
		{"10.0.0.1", "127.0.0.1", "", "DROP_INNER_ADDRESS", []string{"10.0.0.1 to 127.0.0.1"}},
		{"::", "2001:db8::1", "", "DROP_INNER_ADDRESS", []string{":: to 2001:db8::1"}},
		{"10.0.0.2", "240.0.0.1", "192.0.2.2", "DROP_INNER_ADDRESS", []string{"192.0.2.2", "10.0.0.2 to 240.0.0.1"}},
	} {
		got, err := w.h.Trace(t.Context(), &pb.TracePacketRequest{Vni: 7, Source: c.src, Destination: c.dst, From: c.from})
		require.NoError(t, err, c.dst)
		require.Equal(t, c.verdict, got.Verdict, c.dst)
		var keys []string
		for _, s := range got.Steps {
			keys = append(keys, s.Key)
		}
		require.Equal(t, c.keys, keys, "%s to %s", c.src, c.dst)
	}
	got, err := w.h.Trace(t.Context(), &pb.TracePacketRequest{Vni: 7, Source: "10.0.0.2", Destination: "10.0.0.1", From: "192.0.2.2"})
	require.NoError(t, err)
	require.Equal(t, "interface mzt", got.Steps[1].Found)
	require.Equal(t, []string{"mzt"}, got.Targets)
}
