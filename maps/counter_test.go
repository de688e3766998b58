// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/bpf"
)

func TestCountersAreSums(t *testing.T) {
	r := newRig(t, small())
	require.Empty(t, collect(t, r.Counters.All()))
	cpus := ebpf.MustPossibleCPU()
	want := map[bpf.TableReason]Counter{}
	for i, reason := range []bpf.TableReason{bpf.TableReasonREASON_PASS, bpf.TableReasonDROP_PEER, bpf.TableReasonREASON_MAX - 1} {
		each := make([]bpf.TableCounter, cpus)
		sum := Counter{Reason: reason, Name: reason.String()}
		for cpu := range each {
			each[cpu] = bpf.TableCounter{Packets: uint64(i + cpu + 1), Bytes: 1<<40 + uint64(cpu)}
			sum.Packets += each[cpu].Packets
			sum.Bytes += each[cpu].Bytes
		}
		require.NoError(t, r.raw.Counters.Put(uint32(reason), each))
		want[reason] = sum
	}
	for _, tables := range []*Tables{r.Tables, r.reader(t)} {
		last := bpf.TableReason(0)
		for _, c := range collect(t, tables.Counters.All()) {
			require.Equal(t, want[c.Reason], c)
			require.Greater(t, c.Reason, last)
			last = c.Reason
		}
		require.Len(t, collect(t, tables.Counters.All()), len(want))
		for reason := range bpf.TableReasonREASON_MAX {
			c, err := tables.Counters.Get(reason)
			require.NoError(t, err)
			require.Equal(t, want[reason].Packets, c.Packets)
			require.Equal(t, reason, c.Reason)
		}
		_, err := tables.Counters.Get(bpf.TableReasonREASON_MAX)
		require.ErrorIs(t, err, ErrNotFound)
		for c := range tables.Counters.All() {
			require.Equal(t, bpf.TableReasonREASON_PASS, c.Reason)
			break
		}
	}
}

func TestTrafficIsASum(t *testing.T) {
	r := newRig(t, small())
	cpus := ebpf.MustPossibleCPU()
	each := make([]bpf.TableTraffic, cpus)
	var want Traffic
	for cpu := range each {
		each[cpu] = bpf.TableTraffic{RxPackets: 1, RxBytes: 1 << 40, TxPackets: uint64(cpu), TxBytes: 2}
		want.RxPackets++
		want.RxBytes += 1 << 40
		want.TxPackets += uint64(cpu)
		want.TxBytes += 2
	}
	require.NoError(t, r.raw.Traffic.Put(uint32(63), each))
	for _, tables := range []*Tables{r.Tables, r.reader(t)} {
		got, err := tables.Traffic.Get(63)
		require.NoError(t, err)
		require.Equal(t, want, got)
		for _, nobodys := range []uint32{0, 64, 1<<32 - 1} {
			_, err := tables.Traffic.Get(nobodys)
			require.ErrorIs(t, err, ErrNotFound)
		}
	}
}

// A slot that had another owner begins at zero, and rests before it is used again.
func TestTrafficSlots(t *testing.T) {
	r := newRig(t, small())
	slotOf := func(ifindex int) uint32 {
		t.Helper()
		a, err := r.Agents.Get(ifindex)
		require.NoError(t, err)
		return a.Traffic
	}
	for n := range 3 {
		require.NoError(t, r.Agents.Put(agentN(n)))
	}
	require.Equal(t, []uint32{1, 2, 3}, []uint32{slotOf(1), slotOf(2), slotOf(3)})
	counted := make([]bpf.TableTraffic, ebpf.MustPossibleCPU())
	counted[0].RxPackets = 5
	require.NoError(t, r.raw.Traffic.Put(uint32(2), counted))
	require.NoError(t, r.Agents.Put(agentN(1)), "again: it keeps slot and counts")
	got, err := r.Traffic.Get(slotOf(2))
	require.NoError(t, err)
	require.Equal(t, uint64(5), got.RxPackets)

	require.NoError(t, r.Agents.Delete(2))
	require.NoError(t, r.Agents.Put(agentN(1)))
	require.Equal(t, uint32(4), slotOf(2))
	d := validDroplet()
	d.Traffic = 2
	require.NoError(t, r.Droplets.Put(d))
	got, err = r.Traffic.Get(2)
	require.NoError(t, err)
	require.Zero(t, got)
	// One that is taken is not given to another, and one that is left is free.
	d = Droplet{Ifindex: 9, Addrs: hosts4, MTU: 1500, Traffic: 2}
	require.ErrorIs(t, r.Droplets.Put(d), ErrExists)
	require.ErrorIs(t, r.Agents.Put(Agent{Ifindex: 1, VNI: vni, MAC: mac, MTU: 1400, Traffic: 2}), ErrExists)
	require.NoError(t, r.Agents.Put(Agent{Ifindex: 1, VNI: vni, MAC: mac, MTU: 1400, Traffic: 33}))
	require.Equal(t, uint32(33), slotOf(1))
	d.Traffic = 1
	require.NoError(t, r.Droplets.Put(d))
	r.requireCounted(t)
}
