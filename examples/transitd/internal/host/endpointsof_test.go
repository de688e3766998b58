// SPDX-License-Identifier: Apache-2.0

package host

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/dataplane"
)

// testEndpointsOf: a host is meant however its address is written, and one that makes no sense is an error, not an empty
// answer.
func testEndpointsOf(t *testing.T, w *world) {
	one, _ := named(t, "one")
	w.apply(t, state(t, `{"localEndpoints":[{"vni":7,"addresses":["10.0.0.1/24"],"netns":%q}],"endpoints":[
		{"vni":7,"address":"10.0.0.7","host":"2001:db8::2"},{"vni":8,"address":"10.0.0.8","host":"2001:db8::2"},
		{"vni":7,"address":"10.0.0.9","host":"192.0.2.2"}]}`, one))
	for _, c := range []struct {
		vni  uint32
		host string
		want []string
	}{
		{0, "", []string{"7/10.0.0.1", "7/10.0.0.7", "7/10.0.0.9", "8/10.0.0.8"}},
		{7, "", []string{"7/10.0.0.1", "7/10.0.0.7", "7/10.0.0.9"}},
		{0, "2001:DB8:0::2", []string{"7/10.0.0.7", "8/10.0.0.8"}},
		{8, "2001:db8::2", []string{"8/10.0.0.8"}},
		{8, "192.0.2.2", nil},
	} {
		var got []string
		for e, err := range w.h.EndpointsOf(t.Context(), c.vni, c.host) {
			require.NoError(t, err)
			got = append(got, pathKey(e.Vni, e.Address))
		}
		require.Equal(t, c.want, sorted(got), "%+v", c)
	}
	for _, host := range []string{"192.0.2", "eth0", "::ffff:192.0.2.2"} {
		answers := 0
		for _, err := range w.h.EndpointsOf(t.Context(), 0, host) {
			require.ErrorIs(t, err, dataplane.ErrInvalid)
			answers++
		}
		require.Equal(t, 1, answers)
	}
}
