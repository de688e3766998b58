// SPDX-License-Identifier: Apache-2.0

package netns

import (
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// Do runs f in the namespace, on a thread of its own, and returns what f returned. A panic of f, or its
// [runtime.Goexit] (a test's FailNow), goes on in the caller. Calls may nest.
func (h *Handle) Do(f func() error) error {
	if h.FD() < 0 {
		return ErrClosed
	}
	// Already there: nothing to enter, which would take CAP_SYS_ADMIN also then.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	here, err := h.current()
	if err != nil {
		return err
	}
	if here {
		return f()
	}
	// The goroutine may die with its thread, should there be no way back. The caller's may not.
	return inGoroutine(func() error { return h.enter(f) })
}

// current tells whether the calling thread is in the namespace.
func (h *Handle) current() (bool, error) {
	now, err := Current()
	if err != nil {
		return false, err
	}
	defer now.Close()
	return h.Same(now)
}

// enter runs f in the namespace and goes back.
func (h *Handle) enter(f func() error) error {
	return away(func() error {
		if err := unix.Setns(h.FD(), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter network namespace: %w", err)
		}
		return nil
	}, f)
}

// away has move take the thread to another namespace, runs f there, and comes back. Where that fails,
// the calling goroutine stays locked to its thread, so that both end together.
func away(move, f func() error) (err error) {
	runtime.LockOSThread()
	before, err := Current()
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer before.Close()
	if err := move(); err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer func() {
		if back := unix.Setns(before.FD(), unix.CLONE_NEWNET); back != nil {
			err = errors.Join(err, fmt.Errorf("return from network namespace: %w", back))
			return
		}
		runtime.UnlockOSThread()
	}()
	return f()
}

// inGoroutine runs f in a goroutine of its own and waits for it.
func inGoroutine(f func() error) error {
	var (
		err      error
		panicked any
		returned bool
		done     = make(chan struct{})
	)
	go func() {
		defer close(done)
		defer func() {
			if !returned {
				panicked = recover()
			}
		}()
		err = f()
		returned = true
	}()
	<-done
	switch {
	case returned:
		return err
	case panicked != nil:
		panic(panicked)
	}
	runtime.Goexit()
	return nil
}
