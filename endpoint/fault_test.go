// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

var errFault = errors.New("fault")

// nth makes a hook that calls f at the n-th step.
func nth(n int, f func() error) func(string) error {
	i := -1
	return func(string) error {
		if i++; i == n {
			return f()
		}
		return nil
	}
}

// steps lists those of a Create that goes well, and of the Delete after it.
func (r *rig) steps(c Config) (create, remove []string) {
	r.t.Helper()
	into := &create
	r.failAt = func(step string) error {
		*into = append(*into, step)
		return nil
	}
	defer func() { r.failAt = nil }()
	e := r.create(c)
	into = &remove
	require.NoError(r.t, r.Delete(context.Background(), e.HostInterface))
	return create, remove
}

// faults has Create fail at each step, by a fault and by a context that ends, and compares the host before
// and after; then Delete, which has to get through when called again.
func (r *rig) faults(c Config, workload *netns.Handle, elsewhere ...maps.Endpoint) {
	t := r.t.(*testing.T)
	t.Helper()
	creating, removing := r.steps(c)
	require.Equal(t, "record", creating[0])
	require.Equal(t, "done", creating[len(creating)-1])
	restart := func() {
		require.NoError(t, r.AddAll(t.Context(), elsewhere))
	}
	restart()
	before := r.snapshot(workload)
	for i, step := range creating {
		t.Run(fmt.Sprintf("create %02d %s", i, step), func(t *testing.T) {
			r.failAt = nth(i, func() error { return errFault })
			_, err := r.Create(t.Context(), c)
			r.failAt = nil
			require.ErrorIs(t, err, errFault)
			require.ErrorContains(t, err, step)
			require.Equal(t, before, r.snapshot(workload))
			require.Empty(t, locals(t, r.Manager))
			if step == "done" {
				return
			}
			ctx, cancel := context.WithCancel(t.Context())
			r.failAt = nth(i, func() error {
				cancel() // heeded before the next step
				return nil
			})
			_, err = r.Create(ctx, c)
			r.failAt = nil
			require.ErrorIs(t, err, context.Canceled)
			require.Equal(t, before, r.snapshot(workload))
		})
	}
	clean := r.without(elsewhere, workload)
	for i, step := range removing {
		t.Run(fmt.Sprintf("delete %02d %s", i, step), func(t *testing.T) {
			restart()
			e := r.create(c)
			r.failAt = nth(i, func() error { return errFault })
			require.ErrorIs(t, r.Delete(t.Context(), e.HostInterface), errFault)
			r.failAt = nil
			all := locals(t, r.Manager)
			require.Len(t, all, 1)
			require.Equal(t, i > 0, all[0].Partial)
			require.NoError(t, r.Delete(t.Context(), e.HostInterface))
			require.Equal(t, clean, r.snapshot(workload), "also of what lived elsewhere before")
		})
	}
}

// without is the snapshot with those rows removed.
func (r *rig) without(rows []maps.Endpoint, workload *netns.Handle) []string {
	r.t.Helper()
	var keys []maps.EndpointKey
	for _, e := range rows {
		keys = append(keys, e.Key())
	}
	require.NoError(r.t, r.RemoveAll(context.Background(), keys))
	return r.snapshot(workload)
}

func TestFaults(t *testing.T) {
	for _, mode := range []Mode{TCX, Native, Generic} {
		t.Run(mode.String(), func(t *testing.T) {
			r := newRig(t, bpf.Limits{})
			ns := testutil.NewNS(t)
			r.faults(full(ns, mode), ns, remote(0xabcdef, "2001:db8:7::10"), remote(0xabcdef, "192.0.2.200"))
		})
	}
}
