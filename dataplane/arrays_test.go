// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/droplet"
)

// array is a prog array, and what an agent finds in it.
type array struct {
	id      ebpf.MapID
	transit ebpf.ProgramID
}

func arrays(t *testing.T, p *bpf.Programs) (all []array) {
	t.Helper()
	for _, m := range []*ebpf.Map{p.TransitXDPArray, p.TransitTCXArray} {
		info, err := m.Info()
		require.NoError(t, err)
		id, ok := info.ID()
		require.True(t, ok)
		var transit uint32
		require.NoError(t, m.Lookup(uint32(0), &transit))
		all = append(all, array{id, ebpf.ProgramID(transit)})
	}
	return all
}

// TestT17NoProgArrayIsRefilled: an upgrade fills new arrays, and leaves those alone that packets may be
// going through. No packet finds one empty.
func TestT17NoProgArrayIsRefilled(t *testing.T) {
	inEachMode(t, func(t *testing.T, mode droplet.Mode) {
		f := newFleet(t, mode)
		f.a.foreign(t)
		old, err := bpf.LoadPinnedPrograms(f.a.pins().programs())
		require.NoError(t, err)
		defer old.Close()
		before := arrays(t, old)
		stop := f.ping(t)
		steps := 0
		dp, err := open(t.Context(), f.a.config(), func(string) error {
			require.Equal(t, before, arrays(t, old))
			steps++
			return nil
		})
		require.NoError(t, err)
		require.Greater(t, steps, 3)
		require.True(t, dp.Report().Upgraded)
		require.Equal(t, before, arrays(t, old))
		for i, now := range arrays(t, dp.programs) {
			require.NotEqual(t, before[i].id, now.id)
			require.NotEqual(t, before[i].transit, now.transit)
		}
		f.requirePing(t)
		stop()
		for _, c := range collect(t, dp.Stats.Counters(t.Context())) {
			require.NotEqual(t, bpf.TableReasonDROP_NO_TRANSIT, c.Reason)
		}
		require.NoError(t, dp.Close())
		f.destroy(t)
	})
}
