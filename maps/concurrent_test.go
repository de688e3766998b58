// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Several goroutines change and read everything at once. In the end the kernel has what the writer
// believes, and every set is counted right.
func TestConcurrentUse(t *testing.T) {
	r := newRig(t, small())
	r.ages(t)
	reader := r.reader(t)
	groups := [][]netip.Addr{nil, hosts4, hosts6, hosts4[:1]}
	some := func(rng *rand.Rand) error {
		n, group := rng.IntN(8), groups[rng.IntN(len(groups))]
		key := NetworkKey{uint32(n + 1), overlay}
		p := netip.PrefixFrom(workload(n), 32)
		switch rng.IntN(12) {
		case 0:
			return r.VPCs.Put(VPC{VNI: uint32(n + 1), Dividers: group})
		case 1:
			return r.VPCs.Delete(uint32(n + 1))
		case 2:
			return r.Networks.Put(Network{VNI: key.VNI, Prefix: overlay, Bouncers: group, Blackhole: group == nil})
		case 3:
			return r.Networks.DeleteAll([]NetworkKey{key, {key.VNI, p}})
		case 4:
			return r.Droplets.Put(Droplet{Ifindex: n + 1, Addrs: []netip.Addr{hosts4[n%3], hosts6[n%2]}, MTU: 1500})
		case 5:
			return r.Droplets.Delete(n + 1)
		case 6:
			a := agentN(n)
			a.Allowed = []netip.Prefix{p, netip.PrefixFrom(workload(rng.IntN(8)), 31).Masked()}
			return r.Agents.Put(a)
		case 7:
			return r.Agents.Delete(n + 1)
		case 8:
			return r.Endpoints.PutAll([]Endpoint{endpointN(n), endpointN(n + 1)})
		case 9:
			return r.Endpoints.Delete(endpointN(n).Key())
		case 10:
			return r.Peers.PutAll([]Peer{peerN(n), peerN(n + 1)})
		default:
			return r.Peers.Delete(peerN(n).Prefix)
		}
	}
	look := func() (err error) {
		for _, tables := range []*Tables{r.Tables, reader} {
			for _, e := range tables.VPCs.All() {
				err = errors.Join(err, e)
			}
			for _, e := range tables.Networks.All() {
				err = errors.Join(err, e)
			}
			for _, e := range tables.Agents.All() {
				err = errors.Join(err, e)
			}
			for _, e := range tables.Droplets.All() {
				err = errors.Join(err, e)
			}
			for _, e := range tables.Directs.All() {
				err = errors.Join(err, e)
			}
		}
		return err
	}
	var wg sync.WaitGroup
	failed := make(chan error, 8)
	for n := range 6 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(n), 1))
			for range 150 {
				if err := some(rng); err != nil && !errors.Is(err, ErrNotFound) {
					failed <- err
					return
				}
			}
		})
	}
	for range 2 {
		wg.Go(func() {
			for range 30 {
				if err := look(); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(failed)
	for err := range failed {
		require.NoError(t, err)
	}
	r.requireCounted(t)
	before := r.image(t)
	r.reopen(t)
	require.Equal(t, before, r.image(t))
}

// requireCounted counts again what the writer counts: rows that name a set, and slots.
func (r *rig) requireCounted(t testing.TB) {
	t.Helper()
	refs, slots := map[uint32]int{}, map[uint32]string{}
	for _, v := range collect(t, r.VPCs.All()) {
		if set := r.setOf(t, v.VNI); set != 0 {
			refs[set]++
		}
	}
	for _, n := range r.s.networks.rows {
		if n.Set != 0 {
			refs[n.Set]++
		}
	}
	require.Equal(t, refs, r.refs())
	note := func(slot uint32, owner string) {
		require.NotZero(t, slot, owner)
		require.Empty(t, slots[slot], "slot %d is also %s's", slot, owner)
		slots[slot] = owner
		require.True(t, r.s.slots.used[slot])
	}
	for _, a := range collect(t, r.Agents.All()) {
		note(a.Traffic, fmt.Sprint("agent ", a.Ifindex))
	}
	for _, d := range collect(t, r.Droplets.All()) {
		note(d.Traffic, fmt.Sprint("droplet ", d.Ifindex))
	}
	require.Equal(t, len(slots), r.image(t).Slots)
}
