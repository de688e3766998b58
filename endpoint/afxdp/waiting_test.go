// SPDX-License-Identifier: Apache-2.0

package afxdp

import (
	"errors"
	"runtime"
	"strings"
)

// waiting tells whether some goroutine waits in a Recv for packets.
func waiting() error { return waitingIn(".(*Socket).Recv(") }

// sendWaits tells whether some goroutine waits in a Send or Alloc.
func sendWaits() error { return waitingIn(".(*Socket).write(") }

func waitingIn(function string) error {
	b := make([]byte, 1<<20)
	for stack := range strings.SplitSeq(string(b[:runtime.Stack(b, true)]), "\n\n") {
		first, _, _ := strings.Cut(stack, "\n")
		if strings.Contains(first, "IO wait") && strings.Contains(stack, function) {
			return nil
		}
	}
	return errors.New("nobody waits")
}
