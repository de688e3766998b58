// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"errors"
	"slices"
)

// undo collects what takes back the steps done so far.
type undo []func() error

func (u *undo) add(f func() error) { *u = append(*u, f) }

// run takes back the last step first, and all of them.
func (u *undo) run() error {
	var errs []error
	for _, f := range slices.Backward(*u) {
		errs = append(errs, f())
	}
	*u = nil
	return errors.Join(errs...)
}
