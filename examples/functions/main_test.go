// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"path/filepath"
	"testing"

	"github.com/mizar-go/mizar/dataplane"
	"github.com/mizar-go/mizar/droplet"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/stretchr/testify/require"
)

func TestRun(t *testing.T) {
	testutil.Root(t)
	leaks(t)
	var out bytes.Buffer
	err := run(t.Context(), &out)
	t.Log("\n" + out.String())
	require.NoError(t, err)
	for _, want := range []string{
		"native XDP", "tcx",
		"50 of 50 arrived", "0 of 50 arrived, firewall.closed × 50", "firewall.fragment × 150", "rule changed 10 ×",
		"MB/s arrived behind the burst",
		"refused: ", "a2 saw 50 copies, to the byte; 50 made, 0 failed",
		"DROP_SPOOF_ADDRESS × 20", "B: 10.0.0.2 → 10.0.0.3         firewall.closed × 20",
		"strict.closed × ",
		"b1: a1.example.                [10.0.0.1 2001:db8::1], says 2001:db8::53", "no such name",
		"All as it should be.",
	} {
		require.Contains(t, out.String(), want)
	}
}

// Ctrl-C at any point: it stops there, says so, and everything is taken down.
func TestInterrupt(t *testing.T) {
	testutil.Root(t)
	for _, said := range []string{"native XDP\n", "firewall: b1 takes", "limiter: a1 sends", "swap: one"} {
		t.Run(said[:8], func(t *testing.T) {
			leaks(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			require.ErrorIs(t, run(ctx, testutil.Trigger{On: said, Do: cancel}), context.Canceled)
		})
	}
}

// leaks fails the test if the process holds more at its end, or if pins of this process are left.
func leaks(t *testing.T) {
	testutil.Leaks(t)
	testutil.NoFiles(t, filepath.Join(dataplane.DefaultBPFFS, "mizar", instance("*")))
}

// One world in each mode has all of them, one after the other: it takes longer to build than they do.
func TestFunctions(t *testing.T) {
	testutil.Root(t)
	for _, mode := range []droplet.Mode{droplet.Native, droplet.TCX} {
		t.Run(mode.String(), func(t *testing.T) {
			leaks(t)
			w, err := build(t.Context(), mode)
			t.Cleanup(func() { require.NoError(t, w.close()) })
			require.NoError(t, err)
			for _, f := range []struct {
				name string
				test func(*testing.T, *world)
				tcx  bool // alone
			}{
				{"T3 firewall", testFirewall, false},
				{"T9 firewall of another VPC", testFirewallOfAnotherVPC, false},
				{"firewall's rules", testFirewallRules, false},
				{"firewall twice", testFirewallTwice, false},
				{"limiter's rate", testLimiterRate, false},
				{"limiter's burst", testLimiterBurst, false},
				{"limiter refuses", testLimiterRefuses, false},
				{"droplog", testDroplog, false},
				{"mirror", testMirror, true},
				{"mirror of a stream", testMirrorOfAStream, true},
				{"mirror of what is delivered", testMirrorOfWhatIsDelivered, true},
				{"T10 mirror of a deleted endpoint", testMirrorOfADeletedEndpoint, true}, // the last: it is gone then
			} {
				if mode == droplet.TCX || !f.tcx {
					t.Run(f.name, func(t *testing.T) { f.test(t, w) })
				}
			}
		})
	}
}

func (w *workload) tap(t *testing.T) *tap {
	t.Helper()
	p, err := newTap(w.Namespace)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.close()) })
	return p
}

// unloadAfter does so at the end of the test, or fails it.
func unloadAfter(t *testing.T, dp *dataplane.Dataplane, stage dataplane.Stage, scope dataplane.Scope, f *dataplane.Function) {
	t.Helper()
	t.Cleanup(func() { require.NoError(t, unload(context.Background(), dp, stage, scope, f)) })
}
