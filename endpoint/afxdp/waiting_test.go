// SPDX-License-Identifier: Apache-2.0

package afxdp

import (
	"errors"
	"runtime"
	"strings"
)

// waiting tells whether some goroutine waits in a Recv for packets.
func waiting() error {
	b := make([]byte, 1<<20)
	for stack := range strings.SplitSeq(string(b[:runtime.Stack(b, true)]), "\n\n") {
		first, _, _ := strings.Cut(stack, "\n")
		if strings.Contains(first, "IO wait") && strings.Contains(stack, ".(*Socket).Recv(") {
			return nil
		}
	}
	return errors.New("nobody waits for packets")
}
