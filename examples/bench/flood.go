// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// flood has the kernel run an XDP program on frames of its own making, and do with them what the program
// says. One call lasts until a signal comes: each takes tens of milliseconds before and after, when
// nothing is sent.
type flood struct {
	program *ebpf.Program
	length  int // of the frames
	tid     chan int
	done    chan struct{} // to be closed by who calls run
	stopped atomic.Bool
}

func newFlood(program *ebpf.Program, length int) *flood {
	return &flood{program: program, length: length, tid: make(chan int, 1), done: make(chan struct{})}
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

// run floods, on this thread, until stop.
func (f *flood) run() error {
	f.tid <- unix.Gettid()
	in := make([]byte, f.length)
	attr := testRun{
		fd:     uint32(f.program.FD()),
		sizeIn: uint32(len(in)),
		in:     uint64(uintptr(unsafe.Pointer(&in[0]))),
		repeat: math.MaxInt32,
		flags:  unix.BPF_F_TEST_XDP_LIVE_FRAMES,
	}
	for !f.stopped.Load() {
		_, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_TEST_RUN, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
		if errno != 0 && errno != unix.EINTR {
			return fmt.Errorf("run XDP program on live frames: %w", errno)
		}
	}
	runtime.KeepAlive(in)
	return nil
}

// stop ends run, and returns when it has. A signal that comes too early is lost, so there are more.
func (f *flood) stop() {
	f.stopped.Store(true)
	var tid int
	select {
	case tid = <-f.tid:
	case <-f.done:
		return
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		unix.Tgkill(unix.Getpid(), tid, unix.SIGURG) // which the Go runtime takes for its own
		select {
		case <-f.done:
			return
		case <-tick.C:
		}
	}
}
