// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// showKill kills a daemon while red sends, breaks what blue has behind its back, and starts it again.
func showKill(ctx context.Context, w *world) (err error) {
	s, a := w.shell, w.daemons["a"]
	red, blue := w.workloads["red-a"], w.workloads["blue-a"]
	s.say("red-a sends red-b a packet each %v, which have to come back.", pace)
	packets, err := red.stream(ctx, w.workloads["red-b"])
	if err != nil {
		return err
	}
	defer func() { // also where something else fails
		sent, lost := packets.end()
		if err = errors.Join(err, lost); err == nil {
			s.say("All the while, red-a sent %d packets: %d came back, 0 were lost.", sent, sent)
		}
	}()
	s.typed("host-a", fmt.Sprintf("kill -9 %d", a.process.Process.Pid))
	if err := a.process.kill(); err != nil {
		return err
	}
	s.say("While nobody looks, blue's interface goes:")
	s.typed("host-a", "ip link delete blue")
	if err := a.Remove("blue"); err != nil {
		return err
	}
	if _, err := blue.Ping(ctx, blue.v4, 1); err == nil {
		return errors.New("blue-a has its address after its interface went")
	}
	if err := pause(ctx, time.Second/2); err != nil {
		return err
	}
	s.typed("host-a", "transitd -config transitd-a.yaml &")
	if err := a.run(); err != nil {
		return err
	}
	if err := a.await(ctx, s); err != nil {
		return err
	}
	if err := s.expect(ctx, []string{"healthy", "adopted", "repair", "local-endpoint/8/10.0.0.1"}, "--context", "a", "health"); err != nil {
		return err
	}
	return blue.talk(ctx, w.workloads["blue-b"], s)
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
