// SPDX-License-Identifier: Apache-2.0

package host

import (
	"testing"

	"github.com/stretchr/testify/require"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// testPlumbingOrder: addresses and routes of one Apply that depend on each other come and go in an order that the kernel
// takes, whatever their names.
func testPlumbingOrder(t *testing.T, w *world) {
	s := state(t, `{"addresses":[{"interface":"eth0","address":"198.51.100.2/24"},{"interface":"eth0","address":"198.51.100.10/24"},
		{"interface":"eth0","address":"198.51.100.1/24"}],
		"routes":[{"destination":"10.1.0.0/16","via":"10.2.0.1"},{"destination":"10.2.0.0/16","interface":"eth0"},{"destination":"10.3.0.0/16","via":"10.2.0.1"},
		{"destination":"2001:db8:1::/48","via":"2001:db8:2::1"},{"destination":"2001:db8:2::/48","interface":"eth0"}]}`)
	w.apply(t, s)
	w.requireState(t, s)
	w.requireWhole(t)
	got := w.apply(t, &pb.State{})
	require.Len(t, got.Steps, 8)
	w.requireState(t, &pb.State{})

	// One by one, in an order of the client's.
	for _, a := range s.Addresses {
		_, _, err := w.h.Put(t.Context(), a, "test")
		require.NoError(t, err)
	}
	w.apply(t, &pb.State{Addresses: s.Addresses[1:2]})
	w.requireState(t, &pb.State{Addresses: s.Addresses[1:2]})
	w.apply(t, s)
	w.apply(t, &pb.State{})
	w.requireState(t, &pb.State{})
}
