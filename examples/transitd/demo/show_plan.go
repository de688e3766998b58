// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"strings"
)

// showPlan applies the same again, and has a change planned.
func showPlan(ctx context.Context, w *world) error {
	s := w.shell
	same := []string{"nothing to change"}
	for _, h := range hosts {
		if err := s.expect(ctx, same, "--context", h.name, "apply", "-f", "host-"+h.name+".yaml"); err != nil {
			return err
		}
	}
	// Red is to learn nothing, and blue's workload to have another address.
	text := strings.Replace(stateFile(hosts[0]), "{vni: 7} # red", "{vni: 7, noDirectPath: true} # red", 1)
	text = strings.Replace(text, "vni: 8, addresses: [10.0.0.1/24", "vni: 8, addresses: [10.0.0.9/24", 1)
	if err := s.file("change.yaml", text); err != nil {
		return err
	}
	if err := s.expect(ctx, []string{"vpc", "local-endpoint"}, "--context", "a", "apply", "-f", "change.yaml", "--dry-run"); err != nil {
		return err
	}
	s.say("Nothing of it was done:")
	return s.expect(ctx, same, "--context", "a", "apply", "-f", "host-a.yaml")
}
