// SPDX-License-Identifier: Apache-2.0

package droplet

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/internal/testutil"
)

// The programs answer by XDP_TX where that works, and by a redirect on veth.
func TestDriverTransmits(t *testing.T) {
	p, _ := newHost(t)
	testutil.Bridge(t, p.ns, "br0")
	testutil.Addr(t, p.ns, "br0", "203.0.113.2/24")
	for name, want := range map[string]bool{"up0": false, "br0": true} {
		d, err := p.Attach(t.Context(), Config{Interface: name, Mode: Generic})
		require.NoError(t, err)
		row, err := p.tables.Droplets.Get(d.Ifindex)
		require.NoError(t, err)
		require.Equal(t, want, row.TX, name)
	}
}
