// SPDX-License-Identifier: Apache-2.0

package life

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { os.Exit(testutil.VerifyMain(m)) }

// manager is a service manager as the daemon sees it: a socket.
type manager struct {
	mu   sync.Mutex
	told []string
}

func newManager(t *testing.T) *manager {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	require.NoError(t, err)
	m := &manager{}
	var reads sync.WaitGroup
	reads.Go(func() {
		b := make([]byte, 4096)
		for {
			n, err := c.Read(b)
			if err != nil {
				return
			}
			m.mu.Lock()
			m.told = append(m.told, string(b[:n]))
			m.mu.Unlock()
		}
	})
	t.Cleanup(func() {
		_ = c.Close()
		reads.Wait()
	})
	t.Setenv("NOTIFY_SOCKET", path)
	return m
}

func (m *manager) count(what string) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.told {
		if strings.Contains(s, what) {
			n++
		}
	}
	return n
}

func (m *manager) hears(t *testing.T, what string) {
	t.Helper()
	testutil.Eventually(t, 5*time.Second, func() error {
		if m.count(what) == 0 {
			return fmt.Errorf("not told %s", what)
		}
		return nil
	})
}

// creature is what lives: it serves until it is drained, which takes as long as calls run.
type creature struct {
	Config
	under   context.Context
	calls   chan struct{} // closed: none runs
	drained chan struct{}
	steps   chan string
	ran     chan error
}

func newCreature(prepare func(*creature)) *creature {
	c := &creature{under: context.Background(), calls: make(chan struct{}), drained: make(chan struct{}), steps: make(chan string, 10), ran: make(chan error, 1)}
	c.Config = Config{
		Serve: func(ctx context.Context) error {
			select {
			case <-ctx.Done():
				c.steps <- "cut"
			case <-c.drained:
			}
			return nil
		},
		Ready:    func() { c.steps <- "ready" },
		Stopping: func() { c.steps <- "stopping" },
		Drain: func(ctx context.Context) error {
			c.steps <- "draining"
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-c.calls:
				close(c.drained)
				return nil
			}
		},
		DrainTime: 10 * time.Second,
	}
	if prepare != nil {
		prepare(c)
	}
	go func() { c.ran <- Run(c.under, c.Config) }()
	return c
}

func (c *creature) does(t *testing.T, steps ...string) {
	t.Helper()
	for _, want := range steps {
		select {
		case got := <-c.steps:
			require.Equal(t, want, got)
		case <-time.After(5 * time.Second):
			require.Fail(t, "does not come to "+want)
		}
	}
}

func (c *creature) ends(t *testing.T) error {
	t.Helper()
	select {
	case err := <-c.ran:
		return err
	case <-time.After(5 * time.Second):
		require.Fail(t, "it does not end")
		return nil
	}
}

func raise(t *testing.T, s syscall.Signal) {
	t.Helper()
	require.NoError(t, syscall.Kill(os.Getpid(), s))
}

// One signal drains; the service manager is told of both ends.
func TestRun(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(s.String(), func(t *testing.T) {
			m := newManager(t)
			c := newCreature(nil)
			c.does(t, "ready")
			m.hears(t, "READY=1\nSTATUS=serving")
			require.Zero(t, m.count("WATCHDOG"), "there is none")
			raise(t, syscall.SIGHUP) // does not end it
			raise(t, s)
			c.does(t, "stopping", "draining")
			m.hears(t, "STOPPING=1\nSTATUS=draining")
			raise(t, syscall.SIGHUP)
			select {
			case <-c.ran:
				require.Fail(t, "it ended with a call under way")
			case <-time.After(100 * time.Millisecond):
			}
			close(c.calls)
			require.NoError(t, c.ends(t))
			require.Equal(t, 1, m.count("READY=1"))
		})
	}
}

// A second signal does not wait.
func TestSecondSignal(t *testing.T) {
	c := newCreature(nil)
	c.does(t, "ready")
	raise(t, syscall.SIGTERM)
	c.does(t, "stopping", "draining")
	raise(t, syscall.SIGTERM)
	require.ErrorIs(t, c.ends(t), ErrCut)
}

// Draining takes so long, and no longer.
func TestDrainTime(t *testing.T) {
	c := newCreature(func(c *creature) { c.DrainTime = 100 * time.Millisecond })
	c.does(t, "ready")
	raise(t, syscall.SIGTERM)
	require.NoError(t, c.ends(t))
}

// The end of the context drains, too, and an error of Serve is Run's.
func TestRunEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := newCreature(func(c *creature) {
		c.under = ctx
		close(c.calls)
	})
	c.does(t, "ready")
	cancel()
	c.does(t, "stopping", "draining")
	require.NoError(t, c.ends(t))

	broken := errors.New("broken")
	require.ErrorIs(t, Run(t.Context(), Config{Serve: func(context.Context) error { return broken }}), broken)
}

// The watchdog is fed while the daemon is well and says so in time, and not else.
func TestWatchdog(t *testing.T) {
	const interval = 150 * time.Millisecond
	m := newManager(t)
	t.Setenv("WATCHDOG_USEC", fmt.Sprint(interval.Microseconds()))
	t.Setenv("WATCHDOG_PID", fmt.Sprint(os.Getpid()))
	var sick, hangs atomic.Bool
	var asked, at atomic.Int64
	release := make(chan struct{})
	c := newCreature(func(c *creature) {
		c.Healthy = func(ctx context.Context) error {
			asked.Add(1)
			if at.Add(1) > 1 {
				t.Error("asked twice at a time")
			}
			defer at.Add(-1)
			if hangs.Load() {
				<-release
			}
			if sick.Load() {
				return errors.New("table gone")
			}
			return ctx.Err()
		}
	})
	fed := func() int { return m.count("WATCHDOG=1") }
	more := func() {
		t.Helper()
		before := fed()
		testutil.Eventually(t, 5*time.Second, func() error {
			if n := fed(); n < before+3 {
				return fmt.Errorf("fed %d times", n-before)
			}
			return nil
		})
	}
	none := func(status string) { // it is told before feeding ends
		t.Helper()
		m.hears(t, status)
		before, questions := fed(), asked.Load()
		time.Sleep(3 * interval)
		require.Equal(t, before, fed())
		if !hangs.Load() {
			require.Greater(t, asked.Load(), questions, "it may get well")
		}
	}
	more()
	start, before := time.Now(), fed()
	time.Sleep(4 * interval)
	require.LessOrEqual(t, fed()-before, int(time.Since(start)/(interval/3))+2, "not more often than it takes")
	sick.Store(true)
	none("STATUS=not well: table gone")
	sick.Store(false)
	more()
	hangs.Store(true)
	none("STATUS=not well: no answer in time")
	hangs.Store(false)
	close(release)
	more()
	raise(t, syscall.SIGTERM)
	c.does(t, "ready", "stopping", "draining")
	more() // a drain may take longer than the watchdog waits
	close(c.calls)
	require.NoError(t, c.ends(t))
}
