// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
)

// showApply starts a daemon on each host, and configures it from the manager.
func showApply(ctx context.Context, w *world) error {
	s := w.shell
	s.say("host$    transitd -config transitd-HOST.yaml")
	s.say("manager$ transitctl --context HOST apply -f host-HOST.yaml")
	s.say("First, where the daemons are, and who we are to them (%s/transitctl.yaml):", w.dir)
	for _, h := range hosts {
		if _, err := s.do(ctx, 0, "config", "set-context", h.name, "--host", fmt.Sprintf("https://%s:%d", h.at.Addr(), port),
			"--cert", "operator.crt", "--key", "operator.key", "--ca", "ca.crt"); err != nil {
			return err
		}
	}
	for i, h := range hosts {
		name, text := "transitd-"+h.name+".yaml", daemonFile(w.dir, h)
		if err := os.MkdirAll(w.daemons[h.name].file(h.name), 0o700); err != nil {
			return err
		}
		if i == 0 {
			if err := s.file(name, text); err != nil {
				return err
			}
		} else if err := os.WriteFile(w.daemons[h.name].file(name), []byte(text), 0o600); err != nil {
			return err
		}
		s.typed("host-"+h.name, "transitd -config "+name+" &")
		if err := w.daemons[h.name].run(); err != nil {
			return err
		}
	}
	for _, h := range hosts {
		if err := w.daemons[h.name].await(ctx, s); err != nil {
			return err
		}
		if err := s.expect(ctx, []string{"healthy"}, "--context", h.name, "health"); err != nil {
			return err
		}
	}
	for _, h := range hosts {
		name := "host-" + h.name + ".yaml"
		if err := s.file(name, stateFile(h)); err != nil {
			return err
		}
		if err := s.expect(ctx, []string{"added"}, "--context", h.name, "apply", "-f", name); err != nil {
			return err
		}
	}
	return nil
}
