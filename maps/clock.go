// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// monotonic is the programs' clock.
func monotonic() (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0, fmt.Errorf("read clock: %w", err)
	}
	return time.Duration(ts.Nano()), nil
}
