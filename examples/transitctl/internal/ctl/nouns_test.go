// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"

	v1 "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// What was never learned does not expire: the daemon says zero.
func TestPathExpires(t *testing.T) {
	require.Empty(t, pathExpires(&v1.Path{Host: "192.0.2.1", Expires: durationpb.New(0)}))
	require.Equal(t, "9s", pathExpires(&v1.Path{Host: "192.0.2.1", Mtu: 1400, Expires: durationpb.New(9 * time.Second)}).text)
}

// An empty map has no entries; that there are no maps is something else.
func TestContent(t *testing.T) {
	c := &cli{nouns: nouns()}
	for name, want := range map[string]string{"function-maps": "entries", "vpcs": "vpcs", "local-endpoints": "local endpoints"} {
		n, err := c.find(name)
		require.NoError(t, err)
		require.Equal(t, want, n.content())
	}
}
