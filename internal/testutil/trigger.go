// SPDX-License-Identifier: Apache-2.0

package testutil

import "bytes"

// Trigger is where a program under test writes what it says. Do is called when a write has On in it: so a test steps
// in where the program is, and not when it may be there.
type Trigger struct {
	On string
	Do func()
}

// Write implements io.Writer. It keeps nothing, and does not fail.
func (w Trigger) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte(w.On)) {
		w.Do()
	}
	return len(b), nil
}
