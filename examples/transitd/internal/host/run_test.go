// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// Who undoes a change comes on, step by step, as who makes it: the watchdog looks.
func TestUndoingIsAlive(t *testing.T) {
	h, p := &Host{}, &plan{}
	var beats []uint64
	beat := func(context.Context) error {
		beats = append(beats, h.beat.Load())
		return nil
	}
	no := errors.New("no")
	p.steps = []step{{do: beat, undo: beat}, {do: beat, undo: beat}, {do: func(context.Context) error { return no }}}
	require.ErrorIs(t, h.run(t.Context(), p, nil), no)
	require.Len(t, beats, 4)
	for i := 1; i < len(beats); i++ {
		require.Greater(t, beats[i], beats[i-1])
	}
}
