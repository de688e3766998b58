// SPDX-License-Identifier: Apache-2.0

package maps

import "errors"

// undo takes back the steps of a call that failed half-way, the last one first.
type undo []func() error

func (u *undo) add(f func() error) { *u = append(*u, f) }

// unless runs it if there is an error, and adds its own.
func (u undo) unless(err *error) {
	if *err == nil {
		return
	}
	for i := len(u) - 1; i >= 0; i-- {
		*err = errors.Join(*err, u[i]())
	}
}
