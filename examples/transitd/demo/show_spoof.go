// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// showSpoof has a workload send from an address that is not its own, while the operator watches.
func showSpoof(ctx context.Context, w *world) error {
	s, red := w.shell, w.workloads["red-a"]
	forged := netip.MustParseAddr("10.0.0.66")
	args := []string{"--context", "a", "watch", "events", "--no-changes", "--reason", "DROP_SPOOF_ADDRESS", "--vni", "7", "--count", "1"}
	s.typed(manager.name, append([]string{"transitctl"}, args...)...)
	watch, answer, err := s.start(args...)
	if err != nil {
		return err
	}
	defer watch.kill()
	s.typed("red-a", "ip address add 10.0.0.66/32 dev eth0  # and sends from there")
	if err := red.Assign(device, netip.PrefixFrom(forged, 32)); err != nil {
		return err
	}
	// The watch begins when it is connected: until then, nobody sees them.
	for timeout := time.After(10 * time.Second); ; {
		if err := red.forge(forged, w.workloads["red-b"].v4); err != nil {
			return err
		}
		select {
		case <-watch.ended:
			s.print(answer.String())
			if !strings.Contains(answer.String(), "DROP_SPOOF_ADDRESS") || !strings.Contains(answer.String(), forged.String()) {
				return fmt.Errorf("the watch saw another event: %s", answer)
			}
			return s.expect(ctx, []string{"DROP_SPOOF_ADDRESS"}, "--context", "a", "get", "counters")
		case <-ctx.Done():
			return ctx.Err()
		case <-timeout:
			return errors.New("the watch saw no forged packet")
		case <-time.After(100 * time.Millisecond):
		}
	}
}
