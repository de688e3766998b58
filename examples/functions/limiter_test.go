// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"sync"
	"testing"

	"github.com/mizar-go/mizar/dataplane"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func limit(t *testing.T, w *world) *Limiter {
	t.Helper()
	l, err := NewLimiter(t.Context(), w.a.dp, "limiter")
	require.NoError(t, err)
	host := dataplane.Scope{}
	unloadAfter(t, w.a.dp, dataplane.StageSend, host, l.Function)
	require.NoError(t, w.a.dp.Stage.Set(t.Context(), dataplane.StageSend, host, "limiter"))
	return l
}

// Bytes are counted, and compared with a bucket in Go.
func testLimiterRate(t *testing.T, w *world) {
	l := limit(t, w)
	for _, c := range []struct{ rate, burst uint64 }{
		{400_000, 100_000},
		{3_000_000, 300_000},
	} {
		require.NoError(t, l.Limit(w.a1.endpoint, c.rate, c.burst))
		m, err := measure(t.Context(), w, w.a1, 3*c.rate, c.burst+c.rate/3)
		require.NoError(t, err)
		t.Logf("%+v: %d bytes sent, %d arrived in %v", c, m.sent, m.arrived, m.took)
		require.NoError(t, m.check(c.rate, c.burst))
	}
}

// A bucket that is hardly filled again lets through what fits, to the packet, whoever sends at once; of one endpoint
// alone.
func testLimiterBurst(t *testing.T, w *world) {
	l := limit(t, w)
	const burst = 100 * frame
	const senders = 4 // on as many CPUs as there are
	send := func(from *workload, count uint64) (arrived, lost uint64) {
		in, err := listen(w.b1.Namespace, 9)
		require.NoError(t, err)
		defer in.close()
		before, err := w.dropped(t.Context(), "limiter.rate")
		require.NoError(t, err)
		var group sync.WaitGroup
		for range senders {
			o, err := dial(from.Namespace, w.b1.v4, 9, datagram)
			require.NoError(t, err)
			defer o.close()
			group.Go(func() { assert.NoError(t, o.send(int(count/senders))) })
		}
		group.Wait()
		require.NoError(t, await(t.Context(), "datagrams", func() (bool, error) {
			after, err := w.dropped(t.Context(), "limiter.rate")
			lost = after - before
			return in.packets+lost == count, errors.Join(err, in.count())
		}))
		return in.packets, lost
	}
	for range 2 { // a new limit comes with a full bucket
		require.NoError(t, l.Limit(w.a1.endpoint, 1, burst))
		arrived, lost := send(w.a1, 160)
		require.EqualValues(t, 100, arrived)
		require.EqualValues(t, 60, lost)
		arrived, lost = send(w.a2, 160)
		require.EqualValues(t, 160, arrived)
		require.Zero(t, lost)
	}
	require.NoError(t, l.Unlimit(w.a1.endpoint))
	require.NoError(t, l.Unlimit(w.a1.endpoint))
	arrived, _ := send(w.a1, 160)
	require.EqualValues(t, 160, arrived)
}

func testLimiterRefuses(t *testing.T, w *world) {
	l := limit(t, w)
	require.ErrorContains(t, l.Limit(w.a1.endpoint, 0, 1<<20), "rate 0")
	require.ErrorContains(t, l.Limit(w.a1.endpoint, 1<<40, 1<<20), "rate")
	require.ErrorContains(t, l.Limit(w.a1.endpoint, 1000, 1500), "burst 1500")
	require.ErrorContains(t, l.Limit(w.a1.endpoint, 1000, 1<<40), "burst")
}
