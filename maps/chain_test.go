// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/internal/probe"
	"github.com/mizar-go/mizar/internal/testutil"
)

const (
	stageSend    = bpf.TableStageSTAGE_SEND
	stageParse   = bpf.TableStageSTAGE_PARSE
	stageDeliver = bpf.TableStageSTAGE_DELIVER
	stageForward = bpf.TableStageSTAGE_FORWARD
	stageDrop    = bpf.TableStageSTAGE_DROP
)

// functions loads so many probes.
func (r *rig) functions(t testing.TB, n int) (all []*bpf.Function) {
	t.Helper()
	for range n {
		f, err := bpf.LoadFunction(r.raw, "probe", probe.Spec(t, probe.Next, nil), map[string]bpf.Reason{probe.Reason: 100})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, f.Close()) })
		all = append(all, f)
	}
	return all
}

func ids(t testing.TB, functions ...*bpf.Function) (all []ebpf.ProgramID) {
	t.Helper()
	for _, f := range functions {
		info, err := f.TCX.Info()
		require.NoError(t, err)
		id, _ := info.ID()
		all = append(all, id)
	}
	return all
}

// slots are the places of functions that are taken, in both prog arrays.
func (r *rig) slots(t testing.TB) (n int) {
	t.Helper()
	for _, m := range []*ebpf.Map{r.raw.StagesXDP, r.raw.StagesTCX} {
		for slot := range bpf.TableSlot(stageSlots) {
			var id uint32
			if m.Lookup(slot, &id) == nil {
				n++
			}
		}
	}
	return n
}

func (r *rig) stages(t testing.TB) uint32 {
	t.Helper()
	var s bpf.TableSettings
	require.NoError(t, r.raw.Settings.Lookup(uint32(0), &s))
	return s.Stages
}

func TestChains(t *testing.T) {
	r := newRig(t, small())
	f := r.functions(t, 3)
	require.NoError(t, r.Agents.Put(Agent{Ifindex: 5, VNI: vni, MAC: mac, MTU: 1400}))
	host, vpc, endpoint := ChainKey{}, ChainKey{VNI: vni}, ChainKey{VNI: vni, Ifindex: 5}

	require.NoError(t, r.Chains.Set(stageDeliver, host, f[0], f[1], f[0]))
	require.NoError(t, r.Chains.Set(stageDeliver, vpc, f[1]))
	require.NoError(t, r.Chains.Set(stageDeliver, endpoint, f[2]))
	require.NoError(t, r.Chains.Set(stageSend, endpoint, f[2], f[1]))
	require.Equal(t, 2*7, r.slots(t))
	require.EqualValues(t, 1<<stageDeliver|1<<stageSend, r.stages(t))
	want := []Chain{
		{stageDeliver, host, ids(t, f[0], f[1], f[0])},
		{stageDeliver, vpc, ids(t, f[1])},
		{stageDeliver, endpoint, ids(t, f[2])},
		{stageSend, endpoint, ids(t, f[2], f[1])},
	}
	for _, tables := range []*Tables{r.Tables, r.reader(t)} {
		require.ElementsMatch(t, want, collect(t, tables.Chains.All()))
		got, err := tables.Chains.Get(stageSend, endpoint)
		require.NoError(t, err)
		require.Equal(t, want[3], got)
		got, err = tables.Chains.Get(stageDrop, endpoint)
		require.NoError(t, err)
		require.Empty(t, got.Functions)
	}
	// One for another takes the old one's slots away, and settings that are put leave the stages as they are.
	require.NoError(t, r.Chains.Set(stageDeliver, host, f[2]))
	require.Equal(t, 2*5, r.slots(t))
	require.NoError(t, r.Settings.Put(Settings{Port: 1}))
	require.EqualValues(t, 1<<stageDeliver|1<<stageSend, r.stages(t))
	// An endpoint's go with its agent: also those in its slots, by the next grace period.
	require.NoError(t, r.Agents.Delete(5))
	require.NoError(t, r.Chains.Set(stageDeliver, vpc))
	require.Equal(t, []Chain{{stageDeliver, host, ids(t, f[2])}}, collect(t, r.Chains.All()))
	require.Equal(t, 2, r.slots(t))
	require.EqualValues(t, 1<<stageDeliver, r.stages(t))
	require.NoError(t, r.Chains.Set(stageDeliver, host))
	require.Zero(t, r.slots(t))
	require.Zero(t, r.stages(t))
	require.Empty(t, collect(t, r.Chains.All()))
}

func TestChainsThatAreRefused(t *testing.T) {
	r := newRig(t, small())
	f := r.functions(t, 1)
	require.NoError(t, r.Agents.Put(Agent{Ifindex: 5, VNI: vni, MAC: mac, MTU: 1400}))
	require.NoError(t, r.Chains.Set(stageDrop, ChainKey{}, f[0]))
	epoch, slots := r.epoch(t), r.slots(t)
	for _, c := range []struct {
		stage bpf.Stage
		key   ChainKey
		n     int
		want  error
	}{
		{0, ChainKey{}, 1, ErrInvalid},
		{bpf.TableStageSTAGES, ChainKey{}, 1, ErrInvalid},
		{stageSend, ChainKey{VNI: 1 << 24}, 1, ErrInvalid},
		{stageSend, ChainKey{Ifindex: 5}, 1, ErrInvalid},
		{stageSend, ChainKey{VNI: vni, Ifindex: -1}, 1, ErrInvalid},
		{stageParse, ChainKey{VNI: vni, Ifindex: 5}, 1, ErrInvalid},
		{stageForward, ChainKey{VNI: vni, Ifindex: 5}, 1, ErrInvalid},
		{stageSend, ChainKey{VNI: vni, Ifindex: 6}, 1, ErrNotFound},
		{stageSend, ChainKey{VNI: vni + 1, Ifindex: 5}, 1, ErrNotFound},
		{stageForward, ChainKey{}, 31, ErrTooLong},
		{stageForward, ChainKey{}, 1 << 17, ErrTooLong},
	} {
		err := r.Chains.Set(c.stage, c.key, slices.Repeat(f, c.n)...)
		require.ErrorIs(t, err, c.want, "%v %+v", c.stage, c.key)
	}
	require.ErrorIs(t, r.Chains.Set(stageSend, ChainKey{}, nil), ErrInvalid)
	require.ErrorIs(t, r.reader(t).Chains.Set(stageSend, ChainKey{}, f[0]), ErrReadOnly)
	require.Equal(t, slots, r.slots(t))
	require.Greater(t, r.epoch(t), epoch)
	require.NoError(t, r.Chains.Set(stageForward, ChainKey{}, slices.Repeat(f, 30)...)) // 30 + 1, and 1 + 1 to drop
}

// Each way through the pipeline has its own sum, of the longest chains that one packet can meet.
func TestLengthOfChains(t *testing.T) {
	r := newRig(t, small())
	f := r.functions(t, 1)
	require.NoError(t, r.Agents.Put(Agent{Ifindex: 5, VNI: vni, MAC: mac, MTU: 1400}))
	n := func(n int) []*bpf.Function { return slices.Repeat(f, n) }
	require.NoError(t, r.Chains.Set(stageParse, ChainKey{}, n(9)...))            // 10
	require.NoError(t, r.Chains.Set(stageDeliver, ChainKey{VNI: vni}, n(9)...))  // 20
	require.NoError(t, r.Chains.Set(stageDeliver, ChainKey{VNI: 9}, n(20)...))   // 31
	require.NoError(t, r.Chains.Set(stageForward, ChainKey{VNI: vni}, n(22)...)) // another way: 33
	require.ErrorIs(t, r.Chains.Set(stageForward, ChainKey{VNI: vni}, n(23)...), ErrTooLong)
	require.NoError(t, r.Chains.Set(stageForward, ChainKey{VNI: vni}))
	require.NoError(t, r.Chains.Set(stageDeliver, ChainKey{VNI: vni, Ifindex: 5}, n(12)...)) // 33
	require.ErrorIs(t, r.Chains.Set(stageDeliver, ChainKey{VNI: vni, Ifindex: 5}, n(13)...), ErrTooLong)
	require.ErrorIs(t, r.Chains.Set(stageDrop, ChainKey{}, n(1)...), ErrTooLong)
	require.NoError(t, r.Chains.Set(stageSend, ChainKey{VNI: vni}, n(8)...)) // 9 + 1 + 23
	require.ErrorIs(t, r.Chains.Set(stageSend, ChainKey{VNI: vni}, n(9)...), ErrTooLong)
	require.NoError(t, r.Chains.Set(stageSend, ChainKey{VNI: 9}, n(9)...))
}

// What a writer left that was killed in the middle of a change is gone with the next.
func TestChainsAreMended(t *testing.T) {
	r := newRig(t, small())
	f := r.functions(t, 2)
	require.NoError(t, r.Agents.Put(Agent{Ifindex: 5, VNI: vni, MAC: mac, MTU: 1400}))
	require.NoError(t, r.Chains.Set(stageSend, ChainKey{}, f[0], f[1]))
	require.NoError(t, r.Chains.Set(stageSend, ChainKey{VNI: vni, Ifindex: 5}, f[0]))
	require.NoError(t, r.raw.Agents.Delete(uint32(5)))
	require.NoError(t, r.raw.StagesTCX.Put(bpf.TableSlot(1000), f[0].TCX))
	require.NoError(t, r.raw.StagesXDP.Put(bpf.TableSlot(2000), f[0].XDP))
	var s bpf.TableSettings
	require.NoError(t, r.raw.Settings.Lookup(uint32(0), &s))
	s.Stages = 1 << stageDrop
	require.NoError(t, r.raw.Settings.Put(uint32(0), s))
	next := open(t, r.raw)
	require.Equal(t, []Chain{{stageSend, ChainKey{}, ids(t, f...)}}, collect(t, next.Chains.All()))
	require.EqualValues(t, 1<<stageSend, r.stages(t))
	require.Equal(t, 4, r.slots(t))
	// Its slots are known to be taken.
	require.NoError(t, next.Chains.Set(stageDrop, ChainKey{}, f[1]))
	require.Len(t, collect(t, next.Chains.All()), 2)
	require.Equal(t, 6, r.slots(t))
}

func TestReasons(t *testing.T) {
	r := newRig(t, small())
	numbers, err := r.Reasons.Take("a.x", "a.y", "b.x")
	require.NoError(t, err)
	again, err := open(t, r.raw).Reasons.Take("b.x", "a.x")
	require.NoError(t, err)
	require.Equal(t, numbers["b.x"], again["b.x"])
	require.Equal(t, numbers["a.x"], again["a.x"])
	require.Len(t, map[bpf.Reason]bool{numbers["a.x"]: true, numbers["a.y"]: true, numbers["b.x"]: true}, 3)
	require.Len(t, collect(t, r.Reasons.All()), 3)

	count := make([]bpf.TableCounter, ebpf.MustPossibleCPU())
	count[0].Packets = 3
	require.NoError(t, r.raw.Counters.Put(uint32(numbers["a.y"]), count))
	c, err := r.Counters.Get(numbers["a.y"])
	require.NoError(t, err)
	require.Equal(t, "a.y", c.Name)
	require.NoError(t, r.Reasons.Delete("a.y", "nobody"))
	c, err = r.Counters.Get(numbers["a.y"])
	require.NoError(t, err)
	require.Equal(t, Counter{Reason: numbers["a.y"], Name: numbers["a.y"].String()}, c)

	for _, bad := range []string{"", string(make([]byte, 65))} {
		_, err := r.Reasons.Take("c.x", bad)
		require.ErrorIs(t, err, ErrInvalid)
	}
	var many []string
	for i := range int(bpf.TableReasonREASON_MAX - bpf.TableReasonREASON_FUNCTION_FIRST) {
		many = append(many, "many."+string(rune('A'+i%26))+string(rune('A'+i/26)))
	}
	_, err = r.Reasons.Take(many...)
	require.ErrorIs(t, err, ErrFull)
	require.Len(t, collect(t, r.Reasons.All()), 2) // and none of them was taken
	_, err = r.Reasons.Take(many[:len(many)-2]...)
	require.NoError(t, err)
	_, err = r.Reasons.Take("one more")
	require.ErrorIs(t, err, ErrFull)
}

// The epoch cannot be written after programs were told of the new chain: the old one goes on, and nobody empties the
// slots, or gives them to others, that packets may be in.
func TestChainThatDoesNotSettle(t *testing.T) {
	r := newRig(t, small())
	f := r.functions(t, 2)
	require.NoError(t, r.Chains.Set(stageSend, ChainKey{}, f[0]))
	freeze(t, r.raw.Epochs)
	for n := range 2 {
		require.ErrorIs(t, r.Chains.Set(stageSend, ChainKey{}, f[1], f[1]), bpf.ErrPermission)
		require.Equal(t, []Chain{{stageSend, ChainKey{}, ids(t, f[0])}}, collect(t, r.Chains.All()))
		require.Equal(t, 2*(1+2*(n+1)), r.slots(t))
	}
	require.EqualValues(t, 1<<stageSend, r.stages(t))
}

// Slots that endpoints left when they went are found again, also where all others are taken.
func TestSlotsOfEndpointsThatWent(t *testing.T) {
	r := newRig(t, bpf.Limits{Endpoints: 1024, Networks: 64, VPCs: 64, Sets: 64, Peers: 64, Agents: 512, Allowed: 64,
		Directs: 1024, Paths: 64, Traffic: 1024})
	f := r.functions(t, 1)
	const each = 15
	key := func(i int) ChainKey { return ChainKey{VNI: vni, Ifindex: i} }
	last := 1
	for ; ; last++ {
		require.NoError(t, r.Agents.Put(Agent{Ifindex: last, VNI: vni, MAC: mac, MTU: 1400}))
		err := r.Chains.Set(stageSend, key(last), slices.Repeat(f, each)...)
		if errors.Is(err, ErrFull) {
			break
		}
		require.NoError(t, err)
	}
	require.Equal(t, (stageSlots-5)/each+1, last)
	for i := 1; i < last; i++ {
		require.NoError(t, r.Agents.Delete(i))
	}
	require.Zero(t, r.stages(t)) // and nobody looks for functions any more
	require.NoError(t, r.Chains.Set(stageSend, key(last), slices.Repeat(f, each)...))
	require.Equal(t, 2*each, r.slots(t))
}

// The functions of an endpoint are not another tenant's when its interface is.
func TestChainsOfAnotherTenant(t *testing.T) {
	r := newRig(t, small())
	f := r.functions(t, 1)
	agent := Agent{Ifindex: 5, VNI: vni, MAC: mac, MTU: 1400}
	require.NoError(t, r.Agents.Put(agent))
	require.NoError(t, r.Chains.Set(stageSend, ChainKey{VNI: vni, Ifindex: 5}, f[0]))
	agent.MTU = 1300
	require.NoError(t, r.Agents.Put(agent))
	require.Len(t, collect(t, r.Chains.All()), 1)
	agent.VNI++
	require.NoError(t, r.Agents.Put(agent))
	require.Empty(t, collect(t, r.Chains.All()))
	require.Zero(t, r.stages(t))
	agent.VNI--
	require.NoError(t, r.Agents.Put(agent))
	require.Empty(t, collect(t, r.Chains.All()))
}

// A writer that was killed when it had written a new chain leaves programs that know the old one for a moment. The
// next one does not empty its slots under them.
func TestChainsAreMendedUnderTraffic(t *testing.T) {
	r := newRig(t, small())
	const lo, reason = 1, 100
	p, err := bpf.LoadPrograms(r.raw)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	require.NoError(t, p.WireStages(r.raw))
	f, err := bpf.LoadFunction(r.raw, "probe", probe.Spec(t, probe.Drop, nil), map[string]bpf.Reason{probe.Reason: reason})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, f.Close()) })
	require.NoError(t, r.Settings.Put(Settings{}))
	require.NoError(t, r.Agents.Put(Agent{Ifindex: lo, VNI: vni, MAC: mac, MTU: 1400}))
	require.NoError(t, r.Endpoints.Put(Endpoint{VNI: vni, Addr: workload(0), Ifindex: lo}))
	frame := append([]byte{2, 0, 0, 0, 0, 9}, mac...)
	frame = append(frame, 8, 0, 0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2)
	frame = append(frame, make([]byte, 8)...)

	for range 20 {
		require.NoError(t, r.Chains.Set(stageSend, ChainKey{}, f))
		var stop atomic.Bool
		ran := make(chan error)
		go func() {
			var err error
			for err == nil && !stop.Load() {
				_, err = p.AgentTCX.Run(&ebpf.RunOptions{Data: frame, Repeat: 20000})
			}
			ran <- err
		}()
		before, err := r.Counters.Get(reason)
		require.NoError(t, err)
		testutil.Eventually(t, 10*time.Second, func() error { // packets run through the chain
			c, err := r.Counters.Get(reason)
			if err == nil && c.Packets == before.Packets {
				err = fmt.Errorf("%d packets so far", c.Packets)
			}
			return err
		})
		require.NoError(t, r.raw.StagesTCX.Put(bpf.TableSlot(1000), f.TCX))
		row := bpf.TableChains{}
		row.Stage[stageSend] = bpf.TableChain{First: 1000, Count: 1}
		require.NoError(t, r.raw.Chains.Put(bpf.TableChainKey{}, row))
		r.Tables = open(t, r.raw)
		stop.Store(true)
		require.NoError(t, <-ran)
		require.Equal(t, 4+1, r.slots(t)) // with those that functions come back by
		c, err := r.Counters.Get(reason)
		require.NoError(t, err)
		require.NotZero(t, c.Packets)
		c, err = r.Counters.Get(bpf.TableReasonDROP_NO_FUNCTION)
		require.NoError(t, err)
		require.Zero(t, c.Packets)
	}
}
