// SPDX-License-Identifier: Apache-2.0

package life

import (
	"context"
	"errors"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// errSlow is of a Healthy that does not answer.
var errSlow = errors.New("no answer in time")

// watchdog feeds the service manager's, if there is one, three times in its interval: one question may get no
// answer in time without an end. A sick daemon is not fed, and started anew, which disturbs no packet.
func (c Config) watchdog(ctx context.Context) {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		c.Logger.Warn("the watchdog is not understood", "error", err)
	}
	if interval == 0 {
		return
	}
	t := time.NewTicker(interval / 3)
	defer t.Stop()
	var asked chan error
	sick := false
	for {
		if asked == nil {
			asked = c.ask(ctx, interval/3)
		}
		err := errSlow
		var answered bool
		select {
		case err = <-asked:
			asked, answered = nil, true
		case <-t.C: // it is not asked twice at a time: one that hangs would make ever more goroutines
		case <-ctx.Done():
			return
		}
		switch {
		case err == nil && sick:
			c.Logger.Info("well again")
			c.tell("STATUS=serving")
		case err != nil && !sick:
			c.Logger.Error("not well: the watchdog is not fed", "error", err)
			c.tell("STATUS=not well: " + err.Error())
		}
		if sick = err != nil; !sick {
			c.tell(daemon.SdNotifyWatchdog)
		}
		if answered {
			select {
			case <-t.C:
			case <-ctx.Done():
				return
			}
		}
	}
}

func (c Config) ask(ctx context.Context, within time.Duration) chan error {
	answer := make(chan error, 1)
	if c.Healthy == nil {
		answer <- nil
		return answer
	}
	go func() {
		ctx, cancel := context.WithTimeout(ctx, within)
		defer cancel()
		answer <- c.Healthy(ctx)
	}()
	return answer
}
