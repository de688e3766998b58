// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"context"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/internal/testutil"
)

// patience is how long a test waits for what comes at once: a failure takes so long, a success does not.
const patience = time.Minute

// emit has a program put a record into the ring buffer.
func (r *rig) emit(t testing.TB, record any) {
	t.Helper()
	size, at := int32(binary.Size(record)), int16(-(binary.Size(record)+7)/8*8)
	code := append(testutil.OnStack(t, at, record),
		asm.LoadMapPtr(asm.R1, r.raw.Events.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, int32(at)),
		asm.Mov.Imm(asm.R3, size),
		asm.Mov.Imm(asm.R4, 0),
		asm.FnRingbufOutput.Call(),
		asm.Return(),
	)
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "emit", Type: ebpf.SchedCLS, License: "GPL", Instructions: code})
	require.NoError(t, err)
	defer program.Close()
	failed, err := program.Run(&ebpf.RunOptions{Data: make([]byte, 64)})
	require.NoError(t, err)
	require.Zero(t, failed)
}

// drop is an event as programs report it, and as it is read.
func drop() (bpf.TableEvent, Event) {
	w := bpf.TableEvent{
		Time: uint64(time.Hour), Reason: bpf.TableReasonDROP_PEER, Ifindex: 1<<31 - 1, Vni: 1<<24 - 1, Length: 65535,
		Outer: toWire(hosts4[0]), Source: toWire(hosts6[0]), Destination: toWire(workload(1)),
		Captured: 3, Hook: bpf.TableHookHOOK_AGENT_TCX, Bytes: [128]uint8{1, 2, 3, 4},
	}
	return w, Event{
		Time: time.Hour, Reason: w.Reason, Name: "DROP_PEER", Hook: w.Hook, Ifindex: 1<<31 - 1, VNI: 1<<24 - 1, Length: 65535,
		Outer: hosts4[0], Source: hosts6[0], Destination: workload(1), Bytes: []byte{1, 2, 3},
	}
}

// first reads one event.
func (r *rig) first(t testing.TB) (e Event, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for e, err := range r.Events.Read(ctx) {
		return e, err
	}
	require.Fail(t, "no event came")
	return e, err
}

func TestEvents(t *testing.T) {
	r := newRig(t, small())
	w, want := drop()
	// Also those that came before anybody read, each once.
	for n := range 3 {
		w.Vni = uint32(n)
		r.emit(t, w)
	}
	for n := range 3 {
		want.VNI = uint32(n)
		got, err := r.first(t)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	// What is not known is zero.
	r.emit(t, bpf.TableEvent{})
	got, err := r.first(t)
	require.NoError(t, err)
	require.Equal(t, Event{Name: "NONE", Bytes: []byte{}}, got)
	require.Equal(t, netip.Addr{}, got.Outer)
}

func TestEventsCopied(t *testing.T) {
	w, _ := drop()
	raw, err := binary.Append(nil, binary.NativeEndian, w)
	require.NoError(t, err)
	e, err := eventFromWire(raw)
	require.NoError(t, err)
	clear(raw) // the next record's
	require.Equal(t, []byte{1, 2, 3}, e.Bytes)
}

// Records of another library, or damaged, are errors or are cut: nothing is read beyond them.
func TestHostileEvents(t *testing.T) {
	r := newRig(t, small())
	w, want := drop()
	for _, captured := range []uint32{129, 1 << 31, 1<<32 - 1} {
		w.Captured = captured
		r.emit(t, w)
		got, err := r.first(t)
		require.NoError(t, err)
		require.Equal(t, w.Bytes[:], got.Bytes)
	}
	w.Captured = 3
	r.emit(t, struct {
		Event bpf.TableEvent
		More  [64]uint8
	}{w, [64]uint8{255}})
	got, err := r.first(t)
	require.NoError(t, err)
	require.Equal(t, want, got)

	for _, short := range []any{uint32(1), [204]uint8{}} {
		r.emit(t, short)
		_, err := r.first(t)
		require.ErrorContains(t, err, "read events: decode event of")
	}
	r.emit(t, w)
	got, err = r.first(t)
	require.NoError(t, err, "after the short ones")
	require.Equal(t, want, got)
	_, err = eventFromWire(nil)
	require.Error(t, err)
}

func FuzzEvent(f *testing.F) {
	w, _ := drop()
	raw, err := binary.Append(nil, binary.NativeEndian, w)
	require.NoError(f, err)
	f.Add(raw)
	f.Add(raw[:len(raw)-1])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := eventFromWire(raw)
		require.Equal(t, len(raw) < binary.Size(w), err != nil)
		require.LessOrEqual(t, len(e.Bytes), len(w.Bytes))
	})
}

// There is one reader. It ends with its context, with the tables, and where its caller has enough.
func TestEventReaders(t *testing.T) {
	r := newRig(t, small())
	for _, err := range r.reader(t).Events.Read(t.Context()) {
		require.ErrorIs(t, err, ErrReadOnly)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w, _ := drop()
	r.emit(t, w)
	seen := 0
	for _, err := range r.Events.Read(ctx) {
		require.NoError(t, err)
		seen++
		for _, err := range r.Events.Read(ctx) {
			require.ErrorIs(t, err, ErrExists)
		}
		cancel() // which ends this silently
	}
	require.Equal(t, 1, seen)
	for range r.Events.Read(ctx) {
		require.Fail(t, "its context is done")
	}
	// Another may read now, and is told when the tables are closed.
	r.emit(t, w)
	var last error
	for _, err := range r.Events.Read(t.Context()) {
		if last = err; err == nil {
			require.NoError(t, r.Tables.Close())
		}
	}
	require.ErrorIs(t, last, ErrClosed)
}

func TestLostEventsAreASum(t *testing.T) {
	r := newRig(t, small())
	each := make([]bpf.TableEventLimit, ebpf.MustPossibleCPU())
	for cpu := range each {
		each[cpu] = bpf.TableEventLimit{Window: 1, Count: 2, Lost: 1 << 40}
	}
	require.NoError(t, r.raw.EventLimits.Put(uint32(0), each))
	for _, tables := range []*Tables{r.Tables, r.reader(t)} {
		lost, err := tables.Events.Lost()
		require.NoError(t, err)
		require.Equal(t, uint64(len(each))<<40, lost)
	}
}
