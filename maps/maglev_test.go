// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/bpf"
)

// members are n hosts, sorted as they are in sets.
func members(n int) []bpf.TableAddress {
	var hosts []netip.Addr
	for i := range n {
		hosts = append(hosts, host(i*i)) // not in a row
	}
	return toWireAll(hosts)
}

func TestMaglevShares(t *testing.T) {
	for n := 1; n <= setMembers; n++ {
		got := make([]int, n)
		for _, m := range maglev(members(n)) {
			require.Less(t, int(m), n)
			got[m]++
		}
		require.GreaterOrEqual(t, slices.Min(got), setSlots/n)
		require.LessOrEqual(t, slices.Max(got), (setSlots+n-1)/n)
	}
	require.Zero(t, maglev(nil))
}

// Where one of n members goes, its share of the slots has to move, and little more.
func TestMaglevMovesFew(t *testing.T) {
	for _, n := range []int{2, 3, 4, 8, 16, 32, setMembers} {
		all := members(n)
		with := maglev(all)
		var moved int
		for gone := range all {
			without := maglev(slices.Delete(slices.Clone(all), gone, gone+1))
			for slot, m := range with {
				now := int(without[slot])
				if now >= gone {
					now++
				}
				if int(m) != gone && int(m) != now {
					moved++
				}
			}
		}
		share := float64(moved) / float64(n) / float64(setSlots)
		t.Logf("%d members: %.1f %% of the slots move beside those of the one that goes", n, 100*share)
		require.Less(t, share, 0.05)
	}
}

// Hosts of one fleet may have different builds of the library: the table is an agreement between them.
func TestMaglevIsAnAgreement(t *testing.T) {
	slots := maglev(toWireAll(append(slices.Clone(hosts4), hosts6...)))
	sum := sha256.Sum256(slots[:])
	require.Equal(t, "bdaecb641df34af8", hex.EncodeToString(sum[:8]))
}

// The order in which a caller names the hosts does not matter.
func TestSetsHaveNoOrder(t *testing.T) {
	r := newRig(t, small())
	hosts := append(slices.Clone(hosts4), hosts6...)
	require.NoError(t, r.VPCs.Put(VPC{VNI: 1, Dividers: hosts}))
	slices.Reverse(hosts)
	require.NoError(t, r.VPCs.Put(VPC{VNI: 2, Dividers: hosts}))
	a, err := r.s.vpcs.get(1)
	require.NoError(t, err)
	b, err := r.s.vpcs.get(2)
	require.NoError(t, err)
	require.Equal(t, a.Set, b.Set)
	require.Equal(t, 1, count(t, r.s.sets.table))
}
