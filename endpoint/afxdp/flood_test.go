// SPDX-License-Identifier: Apache-2.0

package afxdp

import (
	"math"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/testutil"
)

// flood has the kernel send a frame out of an interface, over and over, as a NIC's driver would with XDP:
// a socket could not send fast enough.
type flood struct {
	program *ebpf.Program
	tid     chan int
	done    chan error
	stopped atomic.Bool
}

// testRun is the kernel's union bpf_attr of BPF_PROG_TEST_RUN.
type testRun struct {
	fd, result      uint32
	sizeIn, sizeOut uint32
	in, out         uint64
	repeat          uint32
	duration        uint32
	ctxIn, ctxOut   uint32
	ctx, ctxResult  uint64
	flags, cpu      uint32
	batch, _        uint32
}

// startFlood floods from a CPU until stop.
func startFlood(t testing.TB, ns *netns.Handle, name string, frame []byte, cpu int) *flood {
	t.Helper()
	f := &flood{tid: make(chan int, 1), done: make(chan error, 1)}
	var err error
	f.program, err = ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "flood", Type: ebpf.XDP, License: "Dual BSD/GPL",
		Instructions: asm.Instructions{
			asm.Mov.Imm(asm.R1, int32(testutil.Ifindex(t, ns, name))),
			asm.Mov.Imm(asm.R2, 0),
			asm.FnRedirect.Call(),
			asm.Return(),
		},
	})
	require.NoError(t, err)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread is of no other use
		f.done <- ns.Do(func() error { return f.run(frame, cpu) })
	}()
	return f
}

func (f *flood) run(frame []byte, cpu int) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return err
	}
	defer func() { _ = unix.SchedSetaffinity(0, &before) }()
	attr := testRun{
		fd:     uint32(f.program.FD()),
		sizeIn: uint32(len(frame)),
		in:     uint64(uintptr(unsafe.Pointer(&frame[0]))),
		repeat: math.MaxInt32,
		flags:  unix.BPF_F_TEST_XDP_LIVE_FRAMES,
	}
	f.tid <- unix.Gettid()
	for !f.stopped.Load() {
		_, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_TEST_RUN, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
		if errno != 0 && errno != unix.EINTR {
			return errno
		}
	}
	runtime.KeepAlive(frame)
	return nil
}

// stop ends it. A signal that comes too early is lost, so there are more.
func (f *flood) stop(t testing.TB) {
	t.Helper()
	f.stopped.Store(true)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	tid := <-f.tid
	for {
		_ = unix.Tgkill(unix.Getpid(), tid, unix.SIGURG) // which the Go runtime takes for its own
		select {
		case err := <-f.done:
			require.NoError(t, err)
			require.NoError(t, f.program.Close())
			return
		case <-tick.C:
		}
	}
}
