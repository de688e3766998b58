// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/bpf"
)

// T6: each data-plane has a secret of its own, and keeps it.
func TestT6Secret(t *testing.T) {
	secret := func(r *rig) uint64 {
		var s bpf.TableSettings
		require.NoError(t, r.raw.Settings.Lookup(uint32(0), &s))
		return s.Secret
	}
	seen := make(map[uint64]bool)
	for range 3 {
		r := newRig(t, small())
		require.NoError(t, r.Settings.Put(Settings{}))
		is := secret(r)
		require.NotZero(t, is>>32)
		require.NotZero(t, uint32(is))
		require.False(t, seen[is])
		seen[is] = true
		require.NoError(t, open(t, r.raw).Settings.Put(Settings{Port: 1}))
		require.Equal(t, is, secret(r))
	}
}
