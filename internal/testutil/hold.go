// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"encoding/binary"
	"errors"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// holdFor is how long a held program stays where it is, once the test goes on: many times what a call takes
// that does not wait.
const holdFor = 150 * time.Millisecond

// Held is a program that has looked up a row, stays there for a while, and then does something: a packet
// in the middle of a change.
type Held struct {
	state *ebpf.Map // begun, done, 16 bytes of the row as it was in the end
	until *ebpf.Map // when it goes on; 0: not known yet
	ended chan error
}

// Where a held program has its things: R6 is the row, R7 the state.
const (
	heldLimit = -8  // when it goes on anyway
	heldKey   = -32 // 24 bytes
	HeldFree  = -32 // below that, the stack is free
)

// Hold runs a program that looks up a key in m, and returns once it has. then is what it does after the hold.
func Hold(t testing.TB, m *ebpf.Map, key any, then asm.Instructions) *Held {
	t.Helper()
	h := &Held{oneRow(t, 32), oneRow(t, 8), make(chan error, 1)}
	program := newHeld(t, m, h, key, then)
	// The kernel may not preempt a program: it has a CPU of its own, or the test might be waiting for that.
	last := leaveLastCPU(t)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this
		err := unix.SchedSetaffinity(0, &last)
		if err == nil {
			_, err = program.Run(&ebpf.RunOptions{Data: make([]byte, 64)})
		}
		h.ended <- err
	}()
	t.Cleanup(func() {
		require.NoError(t, errors.Join(<-h.ended, program.Close()))
	})
	Eventually(t, time.Minute, func() error {
		if begun := h.read(t); begun[0] == 0 {
			return errors.New("has not looked up its row")
		}
		return nil
	})
	var now unix.Timespec
	require.NoError(t, unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)) // the program's clock
	require.NoError(t, h.until.Put(uint32(0), uint64(now.Nano())+uint64(holdFor)))
	return h
}

func oneRow(t testing.TB, size uint32) *ebpf.Map {
	t.Helper()
	m, err := ebpf.NewMap(&ebpf.MapSpec{Name: "held", Type: ebpf.Array, KeySize: 4, ValueSize: size, MaxEntries: 1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	return m
}

// leaveLastCPU keeps the test's thread off one CPU, if it has more, and tells which that is.
func leaveLastCPU(t testing.TB) (last unix.CPUSet) {
	t.Helper()
	runtime.LockOSThread()
	t.Cleanup(runtime.UnlockOSThread)
	var all unix.CPUSet
	require.NoError(t, unix.SchedGetaffinity(0, &all))
	if all.Count() < 2 {
		return all
	}
	others := all
	for cpu := 8*int(unsafe.Sizeof(all)) - 1; last.Count() == 0; cpu-- {
		if all.IsSet(cpu) {
			last.Set(cpu)
			others.Clear(cpu)
		}
	}
	require.NoError(t, unix.SchedSetaffinity(0, &others))
	t.Cleanup(func() { require.NoError(t, unix.SchedSetaffinity(0, &all)) })
	return last
}

func (h *Held) read(t testing.TB) (state [4]uint64) {
	t.Helper()
	require.NoError(t, h.state.Lookup(uint32(0), &state))
	return state
}

// Row is what [CopyRow] kept.
func (h *Held) Row(t testing.TB) (row [16]byte) {
	t.Helper()
	state := h.read(t)
	for i, half := range state[2:] {
		binary.NativeEndian.PutUint64(row[8*i:], half)
	}
	return row
}

// RequireDone is for a call that may not return before the program has ended.
func (h *Held) RequireDone(t testing.TB) {
	t.Helper()
	require.NotZero(t, h.read(t)[1], "the program that held a row was not waited for")
}

// Wait is for calls that do not wait.
func (h *Held) Wait(t testing.TB) {
	t.Helper()
	Eventually(t, time.Minute, func() error {
		if h.read(t)[1] == 0 {
			return errors.New("goes on")
		}
		return nil
	})
}

func newHeld(t testing.TB, m *ebpf.Map, h *Held, key any, then asm.Instructions) *ebpf.Program {
	t.Helper()
	number := &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	entry := &btf.Func{Name: "held", Linkage: btf.GlobalFunc, Type: &btf.FuncProto{Return: number,
		Params: []btf.FuncParam{{Name: "ctx", Type: &btf.Pointer{Target: number}}}}}
	stay := &btf.Func{Name: "stay", Linkage: btf.StaticFunc, Type: &btf.FuncProto{Return: number,
		Params: []btf.FuncParam{{Name: "i", Type: number}, {Name: "limit", Type: &btf.Pointer{Target: number}}}}}
	code := asm.Instructions{btf.WithFuncMetadata(asm.LoadMapValue(asm.R7, h.state.FD(), 0).WithSymbol("held"), entry)}
	code = append(code, OnStack(t, heldKey, key)...)
	code = append(code, LookUp(m, heldKey)...)
	code = append(code,
		asm.JEq.Imm(asm.R0, 0, "out"),
		asm.Mov.Reg(asm.R6, asm.R0),
		asm.StoreImm(asm.R7, 0, 1, asm.Word),
		asm.FnKtimeGetNs.Call(),
		asm.LoadImm(asm.R1, int64(5*time.Second), asm.DWord),
		asm.Add.Reg(asm.R0, asm.R1),
		asm.StoreMem(asm.RFP, heldLimit, asm.R0, asm.DWord),
	)
	for range 8 {
		code = append(code,
			asm.Mov.Imm(asm.R1, 1<<23), // the most that there is: some 200 ms
			asm.Instruction{OpCode: asm.LoadImmOp(asm.DWord), Dst: asm.R2, Src: asm.PseudoFunc, Constant: -1}.WithReference("stay"),
			asm.Mov.Reg(asm.R3, asm.RFP),
			asm.Add.Imm(asm.R3, heldLimit),
			asm.Mov.Imm(asm.R4, 0),
			asm.FnLoop.Call(),
		)
	}
	code = append(code, then...)
	code = append(code,
		asm.StoreImm(asm.R7, 8, 1, asm.Word),
		asm.Mov.Imm(asm.R0, 0).WithSymbol("out"),
		asm.Return(),

		btf.WithFuncMetadata(asm.Mov.Reg(asm.R6, asm.R2).WithSymbol("stay"), stay),
		asm.FnKtimeGetNs.Call(),
		asm.Mov.Reg(asm.R2, asm.R0),
		asm.LoadMapValue(asm.R1, h.until.FD(), 0),
		asm.LoadMem(asm.R1, asm.R1, 0, asm.DWord),
		asm.JNE.Imm(asm.R1, 0, "known"),
		asm.LoadMem(asm.R1, asm.R6, 0, asm.DWord),
		asm.Mov.Imm(asm.R0, 0).WithSymbol("known"),
		asm.JLT.Reg(asm.R2, asm.R1, "more"),
		asm.Mov.Imm(asm.R0, 1),
		asm.Return().WithSymbol("more"),
	)
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "held", Type: ebpf.SchedCLS, License: "GPL", Instructions: code})
	require.NoError(t, err)
	return program
}

// OnStack stores something there.
func OnStack(t testing.TB, at int16, what any) (code asm.Instructions) {
	t.Helper()
	b, err := binary.Append(nil, binary.NativeEndian, what)
	require.NoError(t, err)
	for i := 0; i < len(b); i += 4 {
		code = append(code, asm.StoreImm(asm.RFP, at+int16(i), int64(int32(binary.NativeEndian.Uint32(b[i:]))), asm.Word))
	}
	return code
}

// LookUp has R0 be the row of the key at a place of the stack, or 0.
func LookUp(m *ebpf.Map, at int16) asm.Instructions {
	return asm.Instructions{
		asm.LoadMapPtr(asm.R1, m.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, int32(at)),
		asm.FnMapLookupElem.Call(),
	}
}

// CopyRow keeps 16 bytes of the row, from an offset on, for [Held.Row].
func CopyRow(offset int16) asm.Instructions {
	return append(CopyHalf(offset),
		asm.LoadMem(asm.R1, asm.R6, offset+8, asm.DWord),
		asm.StoreMem(asm.R7, 24, asm.R1, asm.DWord),
	)
}

// CopyHalf keeps 8 bytes, the first of [Held.Row].
func CopyHalf(offset int16) asm.Instructions {
	return asm.Instructions{
		asm.LoadMem(asm.R1, asm.R6, offset, asm.DWord),
		asm.StoreMem(asm.R7, 16, asm.R1, asm.DWord),
	}
}
