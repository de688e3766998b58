// SPDX-License-Identifier: Apache-2.0

package life

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// ErrCut says that a second signal ended the daemon before it was drained.
var ErrCut = errors.New("ended by a second signal")

// Config says what lives.
type Config struct {
	// Serve lets calls in, until its context ends, which cuts them, or until Drain is through.
	Serve func(context.Context) error
	// Ready is called when calls are let in, before the service manager is told. Nil: nobody is.
	Ready func()
	// Stopping is called when there is to be an end, before Drain: health is to say so. Nil: nobody is.
	Stopping func()
	// Drain takes no more calls, and waits for those under way, until its context ends.
	Drain func(context.Context) error
	// DrainTime is how long that may take. Zero: calls are cut.
	DrainTime time.Duration
	// Healthy is asked before the watchdog is fed, and has to answer before it is hungry. Nil: all is well.
	Healthy func(context.Context) error
	// Logger takes what is worth saying. Nil: nothing is said.
	Logger *slog.Logger
}

// Run has the daemon live until a signal, the end of ctx, or an error of Serve. That it was asked to end is no
// error.
func Run(ctx context.Context, c Config) error {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer signal.Stop(signals)

	serving, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	served := make(chan error, 1)
	go func() { served <- c.Serve(serving) }()
	if c.Ready != nil {
		c.Ready()
	}
	c.tell(daemon.SdNotifyReady + "\nSTATUS=serving")

	watching, unwatch := context.WithCancel(serving)
	var watch sync.WaitGroup
	watch.Go(func() { c.watchdog(watching) })
	defer watch.Wait()
	defer unwatch()

	for {
		select {
		case err := <-served:
			return err
		case <-ctx.Done():
			return c.end(signals, served, cut)
		case s := <-signals:
			if s == syscall.SIGHUP {
				c.Logger.Info("nothing to reload: certificates are read anew when they change; for the rest, restart")
				continue
			}
			c.Logger.Info("ending", "signal", s.String())
			return c.end(signals, served, cut)
		}
	}
}

// end drains, for as long as it may take and nobody insists.
func (c Config) end(signals <-chan os.Signal, served <-chan error, cut context.CancelFunc) error {
	c.tell(daemon.SdNotifyStopping + "\nSTATUS=draining")
	if c.Stopping != nil {
		c.Stopping()
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.DrainTime)
	defer cancel()
	drained := make(chan error, 1)
	go func() { drained <- c.Drain(ctx) }()
	for {
		select {
		case err := <-drained:
			if err != nil {
				c.Logger.Warn("calls were cut", "after", c.DrainTime, "error", err)
				cut()
			}
			return <-served
		case s := <-signals:
			if s == syscall.SIGHUP {
				continue
			}
			c.Logger.Warn("ending at once", "signal", s.String())
			cancel()
			cut()
			<-drained
			return errors.Join(ErrCut, <-served)
		}
	}
}

// tell tells the service manager. That it does not listen is no reason to end.
func (c Config) tell(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		c.Logger.Warn("the service manager cannot be told", "error", fmt.Errorf("notify: %w", err))
	}
}
