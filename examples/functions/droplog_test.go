// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"
	"sync"
	"testing"

	"github.com/mizar-go/mizar/dataplane"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The library's reasons and those of functions, by their names; of packets that could not be parsed, too.
func testDroplog(t *testing.T, w *world) {
	ctx := t.Context()
	l, err := NewDroplog(ctx, w.a.dp, "droplog")
	require.NoError(t, err)
	unloadAfter(t, w.a.dp, dataplane.StageDrop, dataplane.Scope{}, l.Function)
	require.NoError(t, w.a.dp.Stage.Set(ctx, dataplane.StageDrop, dataplane.Scope{}, "droplog"))
	from := w.a1.tap(t)

	forged := netip.MustParseAddr("2001:db8::77")
	frame := w.a1.frame(packet{from: forged, to: w.b1.v6})
	var group sync.WaitGroup
	for range 4 { // the first of them are new to the log on several CPUs
		group.Go(func() {
			for range 25 {
				assert.NoError(t, from.send(frame))
			}
		})
	}
	group.Wait()
	require.NoError(t, l.await(ctx, Lost{VNI: vni, Source: forged, Destination: w.b1.v6, Name: "DROP_SPOOF_ADDRESS", Packets: 100}))

	broken := w.a1.frame(packet{from: w.a1.v4, to: w.b1.v4})
	broken[14] = 0x44
	require.NoError(t, from.send(broken))
	none := netip.IPv6Unspecified()
	require.NoError(t, l.await(ctx, Lost{VNI: vni, Source: none, Destination: none, Name: "DROP_INNER_IPV4", Packets: 1}))

	// By a function, from one endpoint of this host to the other; at that one's own interface.
	fw, err := NewFirewall(ctx, w.a.dp, "wall", vni)
	require.NoError(t, err)
	require.NoError(t, w.a.dp.Stage.Set(ctx, dataplane.StageDeliver, w.a2.scope(), "wall"))
	for range 2 {
		require.NoError(t, from.send(w.a1.frame(packet{from: w.a1.v4, to: w.a2.v4, port: 53})))
	}
	want := Lost{VNI: vni, Source: w.a1.v4, Destination: w.a2.v4, Name: "wall.closed", Packets: 2}
	require.NoError(t, l.await(ctx, want))
	all, err := l.Lost(ctx)
	require.NoError(t, err)
	for _, d := range all {
		if d.Name == "wall.closed" {
			require.Equal(t, fw.Reasons["closed"], d.Reason)
			require.EqualValues(t, 2*len(w.a1.frame(packet{from: w.a1.v4, to: w.a2.v4})), d.Bytes)
		}
		require.NotZero(t, d.Packets)
	}

	// A function that is removed takes its names along.
	reason := fw.Reasons["closed"]
	require.NoError(t, unload(ctx, w.a.dp, dataplane.StageDeliver, w.a2.scope(), fw.Function))
	want.Name = reason.String()
	require.NoError(t, l.await(ctx, want))
}
