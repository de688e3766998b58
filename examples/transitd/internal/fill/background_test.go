// SPDX-License-Identifier: Apache-2.0

package fill

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/dataplane"
	"github.com/mizar-go/mizar/internal/testutil"
)

// Many ask at once: there is one count, and all get it. It is good for a while, and the next is another.
func TestOneCountAtATime(t *testing.T) {
	testutil.Leaks(t)
	var counts, now atomic.Int64
	begun, more := make(chan struct{}), make(chan struct{})
	b := newBackground(time.Hour, func(context.Context) ([]Table, error) {
		if now.Add(1) > 1 {
			return nil, errors.New("two counts at once")
		}
		defer now.Add(-1)
		n := counts.Add(1)
		close(begun)
		<-more
		return []Table{{Name: "t", Entries: uint64(n)}}, nil
	})
	defer b.close()
	const askers = 50
	got := make(chan result, askers)
	for range askers {
		go func() {
			r, err := b.get(t.Context())
			if err != nil {
				r.err = err
			}
			got <- r
		}()
	}
	<-begun
	// Who has no time goes without, and the count goes on.
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err := b.get(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Zero(t, b.now())
	close(more)
	for range askers {
		r := <-got
		require.NoError(t, r.err)
		require.Equal(t, []Table{{Name: "t", Entries: 1}}, r.tables)
	}
	require.EqualValues(t, 1, counts.Load())

	b.mu.Lock()
	require.WithinDuration(t, time.Now().Add(time.Hour), b.last.until, time.Minute)
	b.last.until = time.Now()
	b.mu.Unlock()
	begun = make(chan struct{})
	r, err := b.get(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 2, r.tables[0].Entries)
}

// However short a count is good, it takes a small share of the time; and one that failed is soon tried again.
func TestRest(t *testing.T) {
	testutil.Leaks(t)
	for _, failure := range []error{nil, errors.New("cut")} {
		b := newBackground(time.Nanosecond, func(context.Context) ([]Table, error) {
			time.Sleep(20 * time.Millisecond)
			return nil, failure
		})
		first, err := b.get(t.Context())
		require.NoError(t, err)
		require.ErrorIs(t, first.err, failure)
		require.GreaterOrEqual(t, first.until.Sub(first.at), time.Second)
		again, err := b.get(t.Context())
		require.NoError(t, err)
		require.Equal(t, first.at, again.at)
		b.close()
	}
	b := newBackground(time.Hour, func(context.Context) ([]Table, error) { return nil, errors.New("cut") })
	defer b.close()
	r, err := b.get(t.Context())
	require.NoError(t, err)
	require.Less(t, r.until.Sub(r.at), time.Minute)
}

// Close does not wait for rows, and nobody waits for a count that is ended.
func TestCloseWhileCounting(t *testing.T) {
	testutil.Leaks(t)
	begun := make(chan struct{})
	var ended atomic.Bool
	b := newBackground(time.Hour, func(ctx context.Context) ([]Table, error) {
		close(begun)
		<-ctx.Done()
		time.Sleep(20 * time.Millisecond)
		ended.Store(true)
		return nil, ctx.Err()
	})
	failed := make(chan error)
	go func() {
		_, err := b.get(t.Context())
		failed <- err
	}()
	<-begun
	b.close()
	require.True(t, ended.Load())
	require.ErrorIs(t, <-failed, dataplane.ErrClosed)
	_, err := b.get(t.Context())
	require.ErrorIs(t, err, dataplane.ErrClosed)
	b.close()
}
