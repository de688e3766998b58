// SPDX-License-Identifier: Apache-2.0

package host

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"google.golang.org/protobuf/proto"

	"github.com/mizar-go/mizar/dataplane"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/internal/testutil"
)

// testAlternativeNames: the kernel finds an interface by names that it does not tell, which udev gives most NICs. A
// resource that has one as its key would be another one when it is read.
func testAlternativeNames(t *testing.T, w *world) {
	one, _ := named(t, "one")
	testutil.Veth(t, w.ns, "w1", w.ns, "w2")
	t.Cleanup(func() { testutil.Delete(t, w.ns, "w1") })
	alternative := func(name, other string, change func(netlink.Link, string) error) {
		t.Helper()
		testutil.In(t, w.ns, func() error {
			l, err := netlink.LinkByName(name)
			if err != nil {
				return err
			}
			return change(l, other)
		})
	}
	alternative("eth0", "enp0s3", netlink.LinkAddAltName)
	t.Cleanup(func() { alternative("eth0", "enp0s3", netlink.LinkDelAltName) })
	alternative("w1", "enp0s4", netlink.LinkAddAltName)
	s := state(t, `{"localEndpoints":[{"vni":7,"addresses":["10.0.0.1/24"],"netns":%q}]}`, one)
	w.apply(t, s)
	was := w.kernel(t)
	for _, m := range []proto.Message{
		&pb.Droplet{Interface: "enp0s3"},
		&pb.LocalEndpoint{Vni: 7, Addresses: []string{"10.0.0.2/24"}, Place: &pb.LocalEndpoint_Adopt{Adopt: "enp0s4"}},
		&pb.LocalEndpoint{Vni: 7, Addresses: []string{"10.0.0.1/24"}, Place: &pb.LocalEndpoint_Adopt{Adopt: "enp0s4"}},
	} {
		_, _, err := w.h.Put(t.Context(), with(m, anyEtag), "test")
		require.ErrorIs(t, err, dataplane.ErrInvalid)
		require.ErrorContains(t, err, "alternative name")
		all := &pb.State{}
		w.h.kindOf(m).into(all, m)
		_, err = w.h.Apply(t.Context(), &pb.ApplyRequest{State: all}, "test")
		require.ErrorIs(t, err, dataplane.ErrInvalid)
		require.Equal(t, was, w.kernel(t))
	}
	w.requireState(t, s)
	w.requireWhole(t)
}
