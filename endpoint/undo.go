// SPDX-License-Identifier: Apache-2.0

package endpoint

import "errors"

// undo takes back, last first, what was done so far.
type undo []func() error

func (u *undo) push(f func() error) { *u = append(*u, f) }

func (u *undo) run() error {
	var errs []error
	for i := len(*u) - 1; i >= 0; i-- {
		errs = append(errs, (*u)[i]())
	}
	*u = nil
	return errors.Join(errs...)
}
