// SPDX-License-Identifier: Apache-2.0

package droplet

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

// Manager attaches and detaches droplets of one data-plane. It is safe for concurrent use; that no other
// process changes the same tables meanwhile is the caller's to see to.
type Manager struct {
	tables   *maps.Tables
	programs *bpf.Programs
	name     string
	links    string
	ns       *netns.Handle
	log      *slog.Logger

	mu sync.Mutex // one change at a time

	// failAt is called before each step of a change, for tests that have it fail there.
	failAt func(step string) error
}

// NewManager takes tables and programs that belong together; they stay the caller's to close, after the
// last call of the Manager.
func NewManager(t *maps.Tables, p *bpf.Programs, o Options) (*Manager, error) {
	if err := o.validate(); err != nil {
		return nil, fmt.Errorf("manage droplets: %w", err)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Manager{tables: t, programs: p, name: o.Name, links: o.Links, ns: o.NetNS, log: o.Logger}, nil
}

// do runs f alone, and in the data-plane's namespace.
func (m *Manager) do(ctx context.Context, f func() error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if m.ns != nil {
		return explain(m.ns.Do(f))
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return explain(f())
}
