// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

func TestRemote(t *testing.T) {
	r := newRig(t, bpf.Limits{})
	before := r.snapshot()
	e := remote(7, "192.0.2.77")
	require.NoError(t, r.Add(t.Context(), e))
	have, err := r.Get(t.Context(), e.Key())
	require.NoError(t, err)
	require.Equal(t, e, have)

	e.Host, e.Cookie = netip.MustParseAddr("2001:db8::9"), 9
	require.NoError(t, r.Add(t.Context(), e), "it moved")
	have, err = r.Get(t.Context(), e.Key())
	require.NoError(t, err)
	require.Equal(t, e, have)
	require.Empty(t, locals(t, r.Manager))

	require.NoError(t, r.Remove(t.Context(), e.Key()))
	require.ErrorIs(t, r.Remove(t.Context(), e.Key()), maps.ErrNotFound)
	_, err = r.Get(t.Context(), e.Key())
	require.ErrorIs(t, err, maps.ErrNotFound)

	for name, change := range map[string]func(*maps.Endpoint){
		"here":    func(e *maps.Endpoint) { e.Host, e.Ifindex = netip.Addr{}, 3 },
		"nowhere": func(e *maps.Endpoint) { e.Host = netip.Addr{} },
		"both":    func(e *maps.Endpoint) { e.Ifindex = 3 },
		"VNI":     func(e *maps.Endpoint) { e.VNI = 0 },
		"address": func(e *maps.Endpoint) { e.Addr = netip.MustParseAddr("::ffff:192.0.2.77") },
	} {
		t.Run(name, func(t *testing.T) {
			e := remote(7, "192.0.2.77")
			change(&e)
			require.ErrorIs(t, r.Add(t.Context(), e), maps.ErrInvalid)
			require.ErrorIs(t, r.AddAll(t.Context(), []maps.Endpoint{remote(7, "192.0.2.78"), e}), maps.ErrInvalid)
		})
	}
	require.Equal(t, before, r.snapshot())

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, r.Add(ended, e), context.Canceled)
	require.ErrorIs(t, r.Remove(ended, e.Key()), context.Canceled)
	require.ErrorIs(t, r.Delete(ended, "mz"), context.Canceled)
	_, err = r.Create(ended, good())
	require.ErrorIs(t, err, context.Canceled)
}

// An endpoint that lived elsewhere is made here, and does not live elsewhere any more.
func TestMove(t *testing.T) {
	r := newRig(t, bpf.Limits{})
	ns := testutil.NewNS(t)
	before := r.snapshot(ns)
	was := remote(7, "192.0.2.10")
	require.NoError(t, r.Add(t.Context(), was))
	e := r.create(dual(ns))
	row, err := r.Get(t.Context(), was.Key())
	require.NoError(t, err)
	require.Equal(t, maps.Endpoint{VNI: 7, Addr: was.Addr, Ifindex: e.Ifindex, MAC: e.MAC}, row)

	for name, f := range map[string]func() error{
		"add":        func() error { return r.Add(t.Context(), was) },
		"add all":    func() error { return r.AddAll(t.Context(), []maps.Endpoint{remote(7, "192.0.2.99"), was}) },
		"remove":     func() error { return r.Remove(t.Context(), was.Key()) },
		"remove all": func() error { return r.RemoveAll(t.Context(), []maps.EndpointKey{was.Key()}) },
	} {
		require.ErrorIs(t, f(), maps.ErrExists, name)
	}
	_, err = r.Get(t.Context(), key(7, "192.0.2.99"))
	require.ErrorIs(t, err, maps.ErrNotFound, "of a batch that was refused")

	require.NoError(t, r.Delete(t.Context(), e.HostInterface))
	require.Equal(t, before, r.snapshot(ns))
	require.NoError(t, r.Add(t.Context(), was), "it moved away again")
	require.NoError(t, r.Remove(t.Context(), was.Key()))
}

// A local row that somebody else has written is not replaced.
func TestForeignLocalRow(t *testing.T) {
	r := newRig(t, bpf.Limits{})
	ns := testutil.NewNS(t)
	_, err := r.Get(t.Context(), key(7, "192.0.2.10"))
	require.ErrorIs(t, err, maps.ErrNotFound)
	require.NoError(t, r.Add(t.Context(), remote(7, "192.0.2.99"))) // the manager has read the table
	require.NoError(t, r.tables.Endpoints.Put(maps.Endpoint{VNI: 7, Addr: netip.MustParseAddr("192.0.2.10"), Ifindex: 3}))
	before := r.snapshot(ns)
	_, err = r.Create(t.Context(), dual(ns))
	require.ErrorIs(t, err, maps.ErrExists)
	require.Equal(t, before, r.snapshot(ns))
}

// TestBulkProgress: whoever adds many hears how far it is, and may end it midway.
func TestBulkProgress(t *testing.T) {
	const n = 10_000
	r := newRig(t, bpf.Limits{})
	all := make([]maps.Endpoint, n)
	for i := range all {
		all[i] = remote(9, "198.51.100.1")
		all[i].Addr = netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})
	}
	written := func() (count int) {
		for _, err := range r.List(t.Context()) {
			require.NoError(t, err)
			count++
		}
		return count
	}
	ctx, cancel := context.WithCancel(t.Context())
	var last int
	err := r.AddAllFunc(ctx, all, func(done int) {
		last = done
		cancel()
	})
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, fmt.Sprintf("%d of %d done before", last, n))
	require.Positive(t, last)
	require.Less(t, last, n)
	require.Equal(t, last, written())

	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	var told []int
	require.NoError(t, r.AddAllFunc(ctx, all, func(done int) {
		told = append(told, done)
		if done == n {
			cancel() // too late to stop it
		}
	}))
	require.Greater(t, len(told), 2)
	require.IsIncreasing(t, told)
	require.Equal(t, n, told[len(told)-1])
	require.Equal(t, n, written())
}

func TestBulk(t *testing.T) {
	const n = 10_000
	r := newRig(t, bpf.Limits{})
	ns := testutil.NewNS(t)
	before := r.snapshot(ns)
	all := make([]maps.Endpoint, n)
	keys := make([]maps.EndpointKey, n)
	for i := range all {
		all[i] = remote(9, "198.51.100.1")
		all[i].Addr = netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})
		keys[i] = all[i].Key()
	}
	timed := func(what string, f func()) {
		start := time.Now()
		f()
		t.Logf("%s: %v", what, time.Since(start))
	}
	timed("add 10,000", func() { require.NoError(t, r.AddAll(t.Context(), all)) })
	timed("add them again", func() { require.NoError(t, r.AddAll(t.Context(), all)) })
	var e *Endpoint
	timed("create an endpoint among them", func() { e = r.create(dual(ns)) })
	timed("list", func() {
		seen := make(map[maps.EndpointKey]bool)
		for row, err := range r.List(t.Context()) {
			require.NoError(t, err)
			seen[row.Key()] = true
		}
		require.Len(t, seen, n+2)
	})
	timed("list local ones", func() { require.Equal(t, []*Endpoint{e}, locals(t, r.Manager)) })
	timed("delete the endpoint", func() { require.NoError(t, r.Delete(t.Context(), e.HostInterface)) })
	timed("remove 10,000", func() { require.NoError(t, r.RemoveAll(t.Context(), keys)) })
	require.Equal(t, before, r.snapshot(ns))

	for range r.List(t.Context()) {
		t.Fatal("something is left")
	}
}
