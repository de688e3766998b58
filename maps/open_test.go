// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/bpf"
)

// What a writer left that was killed in the middle of a change, the next one mends.
func TestOpenMends(t *testing.T) {
	r := newRig(t, small())
	r.fill(t)
	before := r.image(t)
	for name, killed := range map[string]func() error{
		"prefixes without an agent": func() error { return r.s.allowed.put(toAllowedKey(99, overlay), 1) },
		"addresses without a droplet": func() error {
			return r.s.addresses.put(toWire(hosts6[0]), 99)
		},
		"a set that no row names": func() error {
			return r.s.sets.table.put(1, setToWire(toWireAll(hosts6), false))
		},
		"a set twice": func() error {
			return r.s.sets.table.put(1, setToWire(toWireAll(hosts4), false))
		},
		"a twin that nothing was flipped to": func() error {
			return r.s.sets.table.put(1, setToWire(toWireAll(hosts4), true))
		},
	} {
		require.NoError(t, killed(), name)
		r.reopen(t)
		require.Equal(t, before, r.image(t), name)
		require.Equal(t, 1, count(t, r.s.sets.table), name)
		r.requireCounted(t)
	}
}

func TestOpenMendsMarks(t *testing.T) {
	r := newRig(t, small())
	require.NoError(t, r.VPCs.Put(VPC{VNI: vni, Dividers: hosts4}))
	require.NoError(t, r.Networks.Put(validNetwork()))
	// Killed when the droplet was there, and before the sets were marked.
	require.NoError(t, r.s.addresses.put(toWire(hosts4[0]), 3))
	require.NoError(t, r.s.droplets.put(3, bpf.TableDroplet{Source4: toWire(hosts4[0]), Mtu: 1500, Traffic: 5}))
	r.reopen(t)
	require.Equal(t, map[uint32]bool{r.setOf(t, vni): true}, r.image(t).Marks)
	r.requireCounted(t)

	// Killed when only VPCs had been flipped to the twin.
	id := r.s.sets.freeID("twin")
	require.NoError(t, r.s.sets.table.put(id, setToWire(toWireAll(hosts4), false)))
	row, err := r.s.vpcs.get(vni)
	require.NoError(t, err)
	row.Set = id
	require.NoError(t, r.s.vpcs.put(vni, row))
	r.reopen(t)
	require.Equal(t, map[uint32]bool{r.setOf(t, vni): true}, r.image(t).Marks)
	require.Equal(t, 1, count(t, r.s.sets.table))
	r.requireCounted(t)
}

// The owner of an address went in the middle: another droplet that sends from it gets it.
func TestOpenFindsTheHeir(t *testing.T) {
	r := newRig(t, small())
	require.NoError(t, r.Droplets.Put(Droplet{Ifindex: 3, Addrs: hosts4[:2], MTU: 1500}))
	require.NoError(t, r.Droplets.Put(Droplet{Ifindex: 4, Addrs: hosts4[:1], MTU: 1500}))
	require.NoError(t, r.s.droplets.delete(3))
	r.reopen(t)
	require.Equal(t, ownAddrs{toWire(hosts4[0]): 4}, r.image(t).Own)
}

// A set that says more than it can hold is damage that must do no harm.
func TestOpenDamagedSet(t *testing.T) {
	r := newRig(t, small())
	require.NoError(t, r.VPCs.Put(validVPC()))
	id := r.setOf(t, vni)
	v, err := r.s.sets.table.get(id)
	require.NoError(t, err)
	v.Count = 1<<32 - 1
	require.NoError(t, r.s.sets.table.put(id, v))
	r.reopen(t)
	for _, tables := range []*Tables{r.Tables, r.reader(t)} {
		row, err := tables.VPCs.Get(vni)
		require.NoError(t, err)
		require.Len(t, row.Dividers, setMembers)
	}
}
