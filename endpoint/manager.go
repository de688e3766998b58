// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/maps"
)

// Options of a [Manager].
type Options struct {
	Links  string        // directory on bpffs for the pins of attached agents; there already
	NetNS  *netns.Handle // of the data-plane, stays the caller's; nil: the calling thread's
	Logger *slog.Logger  // for what is odd and no error; nil: nobody listens
}

// Manager makes, lists and removes endpoints. It is safe for concurrent use. There is nothing to close.
type Manager struct {
	tables   *maps.Tables
	programs *bpf.Programs
	links    string
	netns    *netns.Handle
	log      *slog.Logger

	// mu orders writers of rows: those of remote endpoints hold it to read while they check and write, so
	// that none lands on an address that a Create has claimed meanwhile.
	mu    sync.RWMutex
	local map[maps.EndpointKey]int // addresses on this host: ifindex, or claimed; nil: not read yet
	names map[string]chan struct{} // host interfaces being worked on; closed when done

	failAt func(step string) error // tests only
}

// NewManager makes a manager over tables and programs, which stay the caller's to close, and have to be
// open for as long as it is used. Without programs (nil) there is no Create.
func NewManager(t *maps.Tables, p *bpf.Programs, o Options) (*Manager, error) {
	if t == nil {
		return nil, invalid("make endpoint manager: no tables")
	}
	if o.Links == "" {
		return nil, invalid("make endpoint manager: no directory for links")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Manager{
		tables:   t,
		programs: p,
		links:    o.Links,
		netns:    o.NetNS,
		log:      o.Logger,
		names:    make(map[string]chan struct{}),
	}, nil
}

// in runs f in the data-plane's namespace.
func (m *Manager) in(f func() error) error {
	if m.netns == nil {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		return f()
	}
	return m.netns.Do(f)
}

// step is called before each change that Create makes: it is where a caller's change of mind, and a
// test's fault, take effect.
func (m *Manager) step(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return m.fault(name)
}

func (m *Manager) fault(name string) error {
	if m.failAt == nil {
		return nil
	}
	if err := m.failAt(name); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
