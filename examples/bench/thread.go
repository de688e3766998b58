// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// cpus are the two that traffic runs on.
type cpus [2]int

// twoCPUs takes the first two that this process may use.
func twoCPUs() (c cpus, err error) {
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return c, err
	}
	if all.Count() < 2 {
		return c, errors.New("it takes two CPUs")
	}
	for i, n := 0, 0; n < 2; i++ {
		if all.IsSet(i) {
			c[n] = i
			n++
		}
	}
	return c, nil
}

// thread is one end of some traffic, and where it runs.
type thread struct {
	cpu int // anyCPU: where the kernel likes
	f   func(stop *atomic.Bool) error
}

const anyCPU = -1

// patience is how long nothing may arrive.
const patience = 10 * time.Second

// together runs threads until the context ends or one of them fails, and during for as long as that takes.
// When during returns they are told to stop, and waited for.
func together(ctx context.Context, during func(context.Context) error, all ...thread) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var stop atomic.Bool
	done := make(chan error, len(all))
	for _, t := range all {
		go func() {
			err := t.run(&stop)
			if err != nil {
				cancel(err)
			}
			done <- err
		}()
	}
	err := during(ctx)
	stop.Store(true)
	for range all {
		err = errors.Join(err, <-done)
	}
	cancel(nil)
	return err
}

// run has the goroutine keep its thread to the end, and the thread end with it: nobody else is to find
// himself pinned.
func (t thread) run(stop *atomic.Bool) error {
	runtime.LockOSThread()
	if t.cpu != anyCPU {
		if err := pin(0, t.cpu); err != nil {
			return err
		}
	}
	return t.f(stop)
}

// pin keeps a thread on one CPU. Thread 0 is this one.
func pin(tid, cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(tid, &set); err != nil {
		return fmt.Errorf("pin thread to CPU %d: %w", cpu, err)
	}
	return nil
}

// pass lets time pass, if nothing happens meanwhile.
func pass(ctx context.Context, long time.Duration) error {
	timer := time.NewTimer(long)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// rate is how much a counter gains a second, after things got going for a quarter of the time. Where
// that is nothing it takes longer, to a limit: on a busy machine nobody else may have had his turn.
func rate(ctx context.Context, long time.Duration, count func() (uint64, error)) (float64, error) {
	if err := pass(ctx, long/4); err != nil {
		return 0, err
	}
	before, err := count()
	if err != nil {
		return 0, err
	}
	for start := time.Now(); ; {
		if err := pass(ctx, long); err != nil {
			return 0, err
		}
		after, err := count()
		took := time.Since(start)
		if err != nil || after > before {
			return float64(after-before) / took.Seconds(), err
		}
		if took > patience {
			return 0, fmt.Errorf("nothing arrived within %v", patience)
		}
	}
}
