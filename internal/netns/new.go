// SPDX-License-Identifier: Apache-2.0

package netns

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// New makes a network namespace without a name. It is gone with its last handle, process and device
// that refers to it.
func New() (h *Handle, err error) {
	err = inGoroutine(func() error {
		return away(func() error {
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("create network namespace: %w", err)
			}
			return nil
		}, func() error {
			h, err = Current()
			return err
		})
	})
	return h, err
}
