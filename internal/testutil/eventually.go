// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"testing"
	"time"
)

const pollInterval = 5 * time.Millisecond

// Eventually calls f, in the test's goroutine, until it returns nil. After the timeout the test fails
// with what f said last. It is called at least once.
func Eventually(t testing.TB, timeout time.Duration, f func() error) {
	t.Helper()
	if err := poll(timeout, f); err != nil {
		t.Fatalf("not within %s: %v", timeout, err)
	}
}

// poll calls f until it returns nil or the time is up, and returns its last answer.
func poll(timeout time.Duration, f func() error) error {
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-deadline.C:
			return err
		case <-tick.C:
		}
	}
}
