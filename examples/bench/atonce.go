// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"sync"
)

// eachAtOnce calls f for all numbers below n at the same time.
func eachAtOnce(n int, f func(i int) error) error {
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { errs[i] = f(i) })
	}
	all.Wait()
	return errors.Join(errs...)
}
