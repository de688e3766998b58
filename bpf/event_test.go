// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"
	"github.com/stretchr/testify/require"
)

// events takes what is in the ring buffer now.
func (r *rig) events() (all []TableEvent) {
	reader, err := ringbuf.NewReader(r.tables.Events)
	require.NoError(r.t, err)
	defer reader.Close()
	for {
		reader.SetDeadline(time.Now())
		record, err := reader.Read()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return all
		}
		require.NoError(r.t, err)
		var e TableEvent
		_, err = binary.Decode(record.RawSample, binary.NativeEndian, &e)
		require.NoError(r.t, err)
		all = append(all, e)
	}
}

func (r *rig) lost() (n uint64) {
	var cpus []TableEventLimit
	require.NoError(r.t, r.tables.EventLimits.Lookup(uint32(0), &cpus))
	for _, c := range cpus {
		n += c.Lost
	}
	return n
}

func (r *rig) limitEvents(n uint32) {
	r.settings(func(s *TableSettings) { s.EventsPerSecond = n })
}

// T8: a flood of packets to drop gives a few events a second, and counts the others.
func TestT8EventsLimited(t *testing.T) {
	r := newRig(t)
	forged := inner(t, macA, macVirtual, b4, f4, 9)
	const drops, limit = 400, 5
	for _, hook := range []string{"xdp", "tcx"} {
		r.limitEvents(limit)
		r.put(r.tables.EventLimits, uint32(0), make([]TableEventLimit, ebpf.MustPossibleCPU()))
		p, ifindex := r.program(hook, 0)
		begin := time.Now()
		for range drops {
			r.run(p, ifindex, forged)
		}
		// So many seconds may have begun, on each CPU; the kernel's coarse clock is a tick behind.
		seconds := int(time.Since(begin)/time.Second) + 2
		reported := len(r.events())
		require.Positive(t, reported)
		require.LessOrEqual(t, reported, limit*seconds*ebpf.MustPossibleCPU(), hook)
		require.Equal(t, uint64(drops-reported), r.lost(), hook)
		r.limitEvents(0)
		r.run(p, ifindex, forged)
		require.Empty(t, r.events(), "none are asked for")
	}
	require.Equal(t, map[TableReason]uint64{TableReasonDROP_SPOOF_ADDRESS: 2 * (drops + 1)}, r.counters())
}

// A ring buffer that nobody reads fills up, and what has no place is counted.
func TestT8EventsUnread(t *testing.T) {
	r := newRig(t)
	r.limitEvents(1 << 31)
	forged := inner(t, macA, macVirtual, b4, f4, 9)
	size := binary.Size(TableEvent{}) + 8
	drops := int(r.tables.Events.MaxEntries())/size + 100
	for range drops {
		r.run(r.p.AgentXDP, r.agents[0], forged)
	}
	require.Equal(t, drops, len(r.events())+int(r.lost()))
	require.GreaterOrEqual(t, r.lost(), uint64(90))
}

// What an event says.
func TestEvent(t *testing.T) {
	r := newRig(t)
	in := inner(t, macFar, macVirtual, f4, hole4, 300)
	for hook, name := range map[string]TableHook{"xdp": TableHookHOOK_TRANSIT_XDP, "tcx": TableHookHOOK_TRANSIT_TCX} {
		b := tunnel(t, far4, host4, vni, rts(far4, 4, false), in)
		p, ifindex := r.program(hook, -1)
		r.run(p, ifindex, b)
		all := r.events()
		require.Len(t, all, 1)
		e := all[0]
		require.NotZero(t, e.Time)
		require.True(t, bytes.Equal(e.Bytes[:], b[:len(e.Bytes)]))
		e.Time, e.Bytes = 0, [128]uint8{}
		require.Equal(t, TableEvent{Reason: TableReasonDROP_BLACKHOLE, Hook: name, Ifindex: uint32(ifindex), Vni: vni,
			Length: uint32(len(b)), Outer: address(far4), Source: address(f4), Destination: address(hole4), Captured: 128}, e)
	}
	short := inner(t, macB, macVirtual, a4, f4, 9)
	r.run(r.p.AgentXDP, r.agents[0], short)
	e := r.events()[0]
	require.Equal(t, TableHookHOOK_AGENT_XDP, e.Hook)
	require.Equal(t, len(short), int(e.Captured))
	require.Equal(t, short, e.Bytes[:e.Captured])
	require.Zero(t, e.Outer)
}
