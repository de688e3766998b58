// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/bpf"
)

// A hundred thousand endpoints take many calls of the kernel's: none is lost, none is there twice.
func TestManyEndpoints(t *testing.T) {
	const n = 100_000
	r := newRig(t, bpf.Limits{Endpoints: n, Networks: 64, VPCs: 64, Sets: 64, Peers: 64, Agents: 64, Allowed: 64, Paths: 64, Traffic: 64})
	var all []Endpoint
	var keys []EndpointKey
	for i := range n {
		all = append(all, endpointN(i))
		keys = append(keys, all[i].Key())
	}
	require.NoError(t, r.Endpoints.PutAll(all))
	requireAll := func(cookies uint64) {
		t.Helper()
		there := map[uint64]bool{}
		for _, e := range collect(t, r.Endpoints.All()) {
			there[e.Cookie-cookies] = true
			want := endpointN(int(e.Cookie - cookies))
			want.Cookie += cookies
			require.Equal(t, want, e)
		}
		require.Len(t, there, n)
		require.Equal(t, n, count(t, r.s.endpoints))
	}
	requireAll(0)
	// A full table is no obstacle to replacing what is in it.
	for i := range all {
		all[i].Cookie += cookie
	}
	require.NoError(t, r.Endpoints.PutAll(all))
	requireAll(cookie)
	// Every third is missing: the others go.
	var third []EndpointKey
	for i := 0; i < n; i += 3 {
		third = append(third, keys[i])
	}
	require.NoError(t, r.Endpoints.DeleteAll(third))
	require.Equal(t, n-len(third), count(t, r.s.endpoints))
	err := r.Endpoints.DeleteAll(keys)
	require.ErrorIs(t, err, ErrNotFound)
	require.ErrorContains(t, err, "7/10.0.0.1 and 33333 others of 100000")
	require.Zero(t, count(t, r.s.endpoints))
}

// bytesEach is what a row takes of the kernel's memory, with its part of the buckets.
func bytesEach(t testing.TB, r *rig, rows int) float64 {
	t.Helper()
	info, err := r.raw.Endpoints.Info()
	require.NoError(t, err)
	bytes, ok := info.Memlock()
	require.True(t, ok)
	return float64(bytes) / float64(rows)
}

func TestMemoryOfAnEndpoint(t *testing.T) {
	const n = 1 << 16
	limits := small()
	limits.Endpoints = n
	r := newRig(t, limits)
	var all []Endpoint
	for i := range n {
		all = append(all, endpointN(i))
	}
	require.NoError(t, r.Endpoints.PutAll(all))
	each := bytesEach(t, r, n)
	t.Logf("%.0f bytes", each)
	require.LessOrEqual(t, each, 160.0)
}

func BenchmarkPutAllEndpoints(b *testing.B) {
	const n = 1_000_000
	r := newRig(b, bpf.Limits{Endpoints: 1 << 20})
	all := make([]Endpoint, n)
	for i := range all {
		all[i] = endpointN(i)
	}
	b.ReportAllocs()
	for b.Loop() {
		require.NoError(b, r.Endpoints.PutAll(all))
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(bytesEach(b, r, n), "kernel-B/row")
}

func BenchmarkListEndpoints(b *testing.B) {
	const n = 1_000_000
	r := newRig(b, bpf.Limits{Endpoints: 1 << 20})
	all := make([]Endpoint, n)
	for i := range all {
		all[i] = endpointN(i)
	}
	require.NoError(b, r.Endpoints.PutAll(all))
	for b.Loop() {
		seen := 0
		for _, err := range r.Endpoints.All() {
			require.NoError(b, err)
			seen++
		}
		require.Equal(b, n, seen)
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
