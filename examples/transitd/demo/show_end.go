// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// showEnd ends all daemons in order. Traffic does not notice.
func showEnd(ctx context.Context, w *world) (err error) {
	s := w.shell
	packets, err := w.workloads["red-a"].stream(ctx, w.workloads["red-b"])
	if err != nil {
		return err
	}
	defer func() {
		sent, lost := packets.end()
		if err = errors.Join(err, lost); err == nil {
			s.say("No daemon runs, and of %d packets from red-a to red-b 0 were lost.", sent)
		}
	}()
	for _, h := range hosts {
		p := w.daemons[h.name].process
		s.typed("host-"+h.name, fmt.Sprintf("kill %d", p.Process.Pid))
		if err := p.signal(unix.SIGTERM, 15*time.Second); err != nil {
			return err
		}
		if p.err != nil {
			return fmt.Errorf("transitd of host %s: %w", h.name, p.err)
		}
	}
	return pause(ctx, time.Second/4)
}

// showDestroy takes down what the daemons made, and have left to the kernel.
func showDestroy(_ context.Context, w *world) error {
	for _, h := range hosts {
		w.shell.typed("host-"+h.name, fmt.Sprintf("transitd -destroy -config transitd-%s.yaml", h.name))
		if err := w.daemons[h.name].destroy(); err != nil {
			return err
		}
	}
	return nil
}
