// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

// refs are how many rows name each set that is in use.
func (r *rig) refs() map[uint32]int {
	refs := map[uint32]int{}
	for id, e := range r.s.sets.byID {
		if e.refs > 0 {
			refs[id] = e.refs
		}
	}
	return refs
}

func TestSetsAreShared(t *testing.T) {
	r := newRig(t, small())
	require.NoError(t, r.VPCs.PutAll([]VPC{{VNI: 1, Dividers: hosts4}, {VNI: 2, Dividers: hosts4}}))
	id := r.setOf(t, 1)
	require.NoError(t, r.Networks.PutAll([]Network{
		{VNI: 1, Prefix: prefix("10.0.0.0/24"), Bouncers: hosts4},
		{VNI: 1, Prefix: prefix("10.0.1.0/24"), Bouncers: hosts6},
		{VNI: 1, Prefix: prefix("10.0.2.0/24"), Blackhole: true},
	}))
	other := r.s.networks.rows[toNetworkKey(NetworkKey{1, prefix("10.0.1.0/24")})].Set
	require.Equal(t, map[uint32]int{id: 3, other: 1}, r.refs())
	require.Equal(t, 2, count(t, r.s.sets.table))

	// The same rows again, also in one call with others, change no count.
	require.NoError(t, r.VPCs.PutAll([]VPC{{VNI: 1, Dividers: hosts6}, {VNI: 2, Dividers: hosts4}, {VNI: 1, Dividers: hosts4}}))
	require.Equal(t, map[uint32]int{id: 3, other: 1}, r.refs())
	r.reopen(t)
	require.Equal(t, map[uint32]int{id: 3, other: 1}, r.refs())

	// The last user frees it.
	require.NoError(t, r.VPCs.DeleteAll([]uint32{1, 2}))
	require.Equal(t, map[uint32]int{id: 1, other: 1}, r.refs())
	require.NoError(t, r.Networks.Put(Network{VNI: 1, Prefix: prefix("10.0.0.0/24"), Bouncers: hosts6}))
	require.Equal(t, map[uint32]int{other: 2}, r.refs())
	require.Equal(t, 2, count(t, r.s.sets.table), "not at once")
	require.NoError(t, r.Tables.Close())
	require.Equal(t, 1, count(t, r.s.sets.table))
	_, err := r.s.sets.table.get(other)
	require.NoError(t, err)
}

// A change of members makes another set, and leaves the old as it was, for those who hold it.
func TestSetsAreReplacedWhole(t *testing.T) {
	r := newRig(t, small())
	require.NoError(t, r.VPCs.Put(VPC{VNI: vni, Dividers: hosts4}))
	old := r.setOf(t, vni)
	was, err := r.s.sets.table.get(old)
	require.NoError(t, err)
	require.NoError(t, r.VPCs.Put(VPC{VNI: vni, Dividers: hosts4[:2]}))
	require.NotEqual(t, old, r.setOf(t, vni))
	is, err := r.s.sets.table.get(old)
	require.NoError(t, err)
	require.Equal(t, was, is)
	now, err := r.s.sets.table.get(r.setOf(t, vni))
	require.NoError(t, err)
	require.Equal(t, setToWire(toWireAll(hosts4[:2]), false), now)
	// And back: the old one is there still, and is taken.
	require.NoError(t, r.VPCs.Put(VPC{VNI: vni, Dividers: hosts4}))
	require.Equal(t, old, r.setOf(t, vni))
}

// Many sets that nobody names are freed together, so that they do not fill the table.
func TestIdleSetsAreFreed(t *testing.T) {
	limits := small()
	limits.Sets = 4 * idleSets
	r := newRig(t, limits)
	for i := range 2*idleSets + 10 {
		require.NoError(t, r.VPCs.Put(VPC{VNI: vni, Dividers: []netip.Addr{host(i)}}))
		require.LessOrEqual(t, len(r.s.sets.idle), idleSets)
	}
	require.LessOrEqual(t, count(t, r.s.sets.table), idleSets+1)
	require.Len(t, r.refs(), 1)
	// One call may leave more than that behind.
	var rows []VPC
	for i := range 60 {
		rows = append(rows, VPC{VNI: uint32(i + 1), Dividers: []netip.Addr{host(i)}})
	}
	require.NoError(t, r.VPCs.PutAll(rows))
	require.Len(t, r.refs(), 60)
}

// Two sets may hash to one id: the later gets another, and both are told apart by their members.
func TestSetIDsMayCollide(t *testing.T) {
	r := newRig(t, small())
	want := content(toWireAll(hosts4[:1]), false)
	id := r.s.sets.freeID(want)
	r.s.sets.add(&set{id: id, members: toWireAll(hosts6)})
	require.Equal(t, id+1, r.s.sets.freeID(want))
	r.s.sets.remove(r.s.sets.byID[id])
	require.Equal(t, id, r.s.sets.freeID(want))
	require.Empty(t, r.s.sets.byContent)
	require.Empty(t, r.s.sets.idle)
}

// Sets say whether this host is a member, whatever comes first.
func TestSetsKnowThisHost(t *testing.T) {
	r := newRig(t, small())
	here := func(n uint32) bool {
		t.Helper()
		v, err := r.s.sets.table.get(r.setOf(t, n))
		require.NoError(t, err)
		marks := r.image(t).Marks
		require.Equal(t, v.Flags != 0, marks[r.setOf(t, n)])
		return v.Flags != 0
	}
	put := func(ifindex int, addrs ...netip.Addr) {
		t.Helper()
		require.NoError(t, r.Droplets.Put(Droplet{Ifindex: ifindex, Addrs: addrs, MTU: 1500}))
	}
	require.NoError(t, r.VPCs.PutAll([]VPC{{VNI: 1, Dividers: hosts4}, {VNI: 2, Dividers: hosts6}}))
	network := Network{VNI: 1, Prefix: prefix("10.0.0.0/24"), Bouncers: hosts4}
	require.NoError(t, r.Networks.Put(network))
	require.False(t, here(1) || here(2))
	put(3, hosts4[1])
	require.True(t, here(1))
	require.False(t, here(2))
	require.Equal(t, r.setOf(t, 1), r.s.networks.rows[toNetworkKey(network.Key())].Set)
	put(4, addr("192.0.2.99"), hosts6[0])
	require.True(t, here(1) && here(2))
	require.NoError(t, r.VPCs.Put(VPC{VNI: 3, Dividers: hosts6[:1]}))
	require.True(t, here(3))
	put(3, hosts4[0]) // another member's
	require.True(t, here(1))
	put(3, addr("192.0.2.98"))
	require.False(t, here(1))
	require.NoError(t, r.Droplets.Delete(4))
	require.False(t, here(1) || here(2) || here(3))
	// Rows are as they were put.
	got, err := r.Networks.Get(network.Key())
	require.NoError(t, err)
	require.Equal(t, network, got)
	r.reopen(t)
	require.False(t, here(1) || here(2) || here(3))
}

// Without room for twins, marks are changed where they are.
func TestSetsKnowThisHostInAFullTable(t *testing.T) {
	limits := small()
	limits.Sets = 3
	r := newRig(t, limits)
	require.NoError(t, r.VPCs.PutAll([]VPC{
		{VNI: 1, Dividers: hosts4}, {VNI: 2, Dividers: hosts4[:1]}, {VNI: 3, Dividers: hosts6},
	}))
	require.NoError(t, r.Droplets.Put(Droplet{Ifindex: 3, Addrs: hosts4[:1], MTU: 1500}))
	marks := r.image(t).Marks
	require.Equal(t, map[uint32]bool{r.setOf(t, 1): true, r.setOf(t, 2): true, r.setOf(t, 3): false}, marks)
	require.NoError(t, r.Droplets.Delete(3))
	require.Equal(t, map[uint32]bool{r.setOf(t, 1): false, r.setOf(t, 2): false, r.setOf(t, 3): false}, r.image(t).Marks)
}

// An address that several droplets send from is this host's until the last of them goes.
func TestSharedSourceAddress(t *testing.T) {
	r := newRig(t, small())
	a, b := Droplet{Ifindex: 3, Addrs: hosts4[:1], MTU: 1500}, Droplet{Ifindex: 4, Addrs: hosts4[:2], MTU: 1500}
	require.NoError(t, r.VPCs.Put(VPC{VNI: 1, Dividers: hosts4[:1]}))
	require.NoError(t, r.Droplets.Put(a))
	require.NoError(t, r.Droplets.Put(b))
	for _, d := range []Droplet{a, b} {
		got, err := r.Droplets.Get(d.Ifindex)
		require.NoError(t, err)
		require.Equal(t, seen(d, got), got)
	}
	require.NoError(t, r.Droplets.Delete(3))
	got, err := r.Droplets.Get(4)
	require.NoError(t, err)
	require.Equal(t, seen(b, got), got)
	require.True(t, r.image(t).Marks[r.setOf(t, 1)])
	require.Equal(t, ownAddrs{toWire(hosts4[0]): 4, toWire(hosts4[1]): 4}, r.image(t).Own)
	require.NoError(t, r.Droplets.Delete(4))
	require.Empty(t, r.image(t).Own)
	require.False(t, r.image(t).Marks[r.setOf(t, 1)])
}

// One that it does not send from has one owner: with two, it would end when the first of them goes.
func TestOtherAddressOfAnotherDroplet(t *testing.T) {
	r := newRig(t, small())
	require.NoError(t, r.Droplets.Put(Droplet{Ifindex: 3, Addrs: hosts4, MTU: 1500}))
	before := r.image(t)
	for _, taken := range hosts4 {
		err := r.Droplets.Put(Droplet{Ifindex: 4, Addrs: []netip.Addr{addr("192.0.2.99"), taken}, MTU: 1500})
		require.ErrorIs(t, err, ErrExists)
		require.ErrorContains(t, err, taken.String())
	}
	require.Equal(t, before, r.image(t))
}
