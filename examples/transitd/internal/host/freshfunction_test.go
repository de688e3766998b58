// SPDX-License-Identifier: Apache-2.0

package host

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/dataplane"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/examples/transitd/internal/journal"
)

// testFreshFunction: a daemon that died before it replaced a foreign function does not take that for the one that was
// wanted: of what it does, the kernel tells nothing.
func testFreshFunction(t *testing.T, w *world) {
	foreign, err := collection(&pb.Function{Name: "f", Object: object(t, "limiter")})
	require.NoError(t, err)
	w.library(t, func(dp *dataplane.Dataplane) {
		f, err := dp.Function.Load(t.Context(), "f", foreign)
		require.NoError(t, err)
		require.NoError(t, f.Close())
	})
	want := state(t, `{"functions":[{"name":"f","object":%q}]}`, file("droplog"))
	j, _, err := journal.Open(w.options.StateDir, func(journal.Change, bool) error { return nil })
	require.NoError(t, err)
	require.NoError(t, j.Begin(journal.Change{Put: want}))
	require.NoError(t, j.Close())
	h := w.open(t)
	require.Len(t, h.repairs, 1)
	require.Empty(t, h.repairs[0].Error)
	f, err := h.Get(t.Context(), want.Functions[0])
	require.NoError(t, err)
	require.Equal(t, "drops", f.(*pb.Function).Status.Maps[0].Name)
	w.requireState(t, want)
	w.requireWhole(t)
}
