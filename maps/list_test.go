// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"context"
	"iter"
	"net/netip"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/bpf"
)

// churn changes something again and again until the test has seen enough, and at least once.
func churn(t testing.TB, change func(round int) error) (enough func()) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		for round := 0; ; round++ {
			if err := change(round); err != nil || ctx.Err() != nil {
				ended <- err
				return
			}
		}
	}()
	once := sync.OnceFunc(func() {
		stop()
		require.NoError(t, <-ended)
	})
	t.Cleanup(once)
	return once
}

// requireStable lists rows while others come and go: those that are there all the time come once each.
func requireStable[R any](t testing.TB, rows iter.Seq2[R, error], number func(R) (n int, stable bool), want int) {
	t.Helper()
	times := make([]int, want)
	for row, err := range rows {
		require.NoError(t, err)
		if n, stable := number(row); stable {
			times[n]++
		}
	}
	for n, times := range times {
		if times != 1 {
			t.Fatalf("row %d of %d is there %d times", n, want, times)
		}
	}
}

// Rows below stable stay, and are replaced at times; those from there on come and go.
const stable = 6000

func churned(n int) (int, bool) { return n, n < stable }

func TestListEndpointsWhileTheyChange(t *testing.T) {
	limits := small()
	limits.Endpoints = 2 * stable
	r := newRig(t, limits)
	var all, more []Endpoint
	var keys []EndpointKey
	for n := range stable {
		all, more = append(all, endpointN(n)), append(more, endpointN(stable+n))
		keys = append(keys, more[n].Key())
	}
	require.NoError(t, r.Endpoints.PutAll(all))
	enough := churn(t, func(int) error {
		if err := r.Endpoints.PutAll(more); err != nil {
			return err
		}
		if err := r.Endpoints.PutAll(all[:stable/2]); err != nil {
			return err
		}
		return r.Endpoints.DeleteAll(keys)
	})
	reader := r.reader(t)
	for range 20 {
		for _, tables := range []*Tables{r.Tables, reader} {
			requireStable(t, tables.Endpoints.All(), func(e Endpoint) (int, bool) { return churned(int(e.Cookie)) }, stable)
		}
	}
	enough()
	require.Equal(t, stable, count(t, r.s.endpoints))
}

// A trie is read by asking for one key after another. If the one that was there has gone, the kernel
// begins from the front.
func TestListTriesWhileTheyChange(t *testing.T) {
	limits := small()
	limits.Peers, limits.Networks = 2*stable, 2*stable
	r := newRig(t, limits)
	var peers, morePeers []Peer
	var networks, moreNetworks []Network
	var prefixes []netip.Prefix
	var keys []NetworkKey
	for n := range stable {
		peers, morePeers = append(peers, peerN(2*n)), append(morePeers, Peer{Prefix: peerN(2*n + 1).Prefix, Cookie: stable})
		networks, moreNetworks = append(networks, networkN(n)), append(moreNetworks, networkN(stable+n))
		peers[n].Cookie = uint64(n)
		prefixes, keys = append(prefixes, morePeers[n].Prefix), append(keys, moreNetworks[n].Key())
	}
	require.NoError(t, r.Peers.PutAll(peers))
	require.NoError(t, r.Networks.PutAll(networks))
	enough := churn(t, func(round int) error {
		// Not all at once: the front, the end, and what is between.
		part := round % 4 * stable / 4
		if err := r.Peers.PutAll(morePeers[part : part+stable/4]); err != nil {
			return err
		}
		if err := r.Peers.DeleteAll(prefixes[part : part+stable/4]); err != nil {
			return err
		}
		if err := r.Networks.PutAll(moreNetworks[part : part+stable/4]); err != nil {
			return err
		}
		return r.Networks.DeleteAll(keys[part : part+stable/4])
	})
	reader := r.reader(t)
	for range 10 {
		for _, tables := range []*Tables{r.Tables, reader} {
			requireStable(t, tables.Peers.All(), func(p Peer) (int, bool) { return churned(int(p.Cookie)) }, stable)
			requireStable(t, tables.Networks.All(), func(n Network) (int, bool) { return churned(int(n.Cookie)) }, stable)
		}
		// One prefix is asked for in the same way.
		p, err := reader.Peers.Get(peers[stable-1].Prefix)
		require.NoError(t, err)
		require.Equal(t, peers[stable-1], p)
	}
	enough()
	require.Len(t, collect(t, reader.Peers.All()), stable)
	require.Len(t, collect(t, reader.Networks.All()), stable)
}

// A reader follows a writer that changes sets under it, and never sees a row with another's hosts.
func TestReadRowsWhileTheirSetsChange(t *testing.T) {
	limits := small()
	limits.Sets = 4 // so that sets are freed all the time
	r := newRig(t, limits)
	groups := [][]netip.Addr{hosts4, hosts6, hosts4[:1], hosts4[1:], hosts6[:1], hosts6[1:]}
	put := func(round int) error {
		g := round % len(groups)
		if err := r.VPCs.Put(VPC{VNI: vni, Dividers: groups[g], Cookie: uint64(g)}); err != nil {
			return err
		}
		return r.Networks.Put(Network{VNI: vni, Prefix: overlay, Bouncers: groups[g], Cookie: uint64(g)})
	}
	require.NoError(t, put(0))
	enough := churn(t, put)
	reader := r.reader(t)
	for range 500 {
		for _, tables := range []*Tables{r.Tables, reader} {
			v, err := tables.VPCs.Get(vni)
			require.NoError(t, err)
			require.Equal(t, groups[v.Cookie], v.Dividers)
			n, err := tables.Networks.Get(NetworkKey{vni, overlay})
			require.NoError(t, err)
			require.Equal(t, groups[n.Cookie], n.Bouncers)
		}
	}
	enough()
	require.Len(t, r.refs(), 1)
}

// A row that names a set which is not there is damage, and an error to whoever reads it.
func TestRowWhoseSetIsMissing(t *testing.T) {
	r := newRig(t, small())
	require.NoError(t, r.s.vpcs.put(vni, bpf.TableVpc{Vni: vni, Set: 12345}))
	r.reopen(t)
	for _, tables := range []*Tables{r.Tables, r.reader(t)} {
		_, err := tables.VPCs.Get(vni)
		require.ErrorIs(t, err, errNoSet)
	}
	require.NoError(t, r.VPCs.Put(validVPC()))
	require.NoError(t, r.VPCs.Delete(vni))
}
