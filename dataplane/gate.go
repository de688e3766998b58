// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"iter"
	"sync"
)

// gate lets calls in until it is closed. Closing waits for those inside, so that no descriptor goes away
// under them.
type gate struct {
	mu     sync.RWMutex
	closed bool
}

// enter is paired with leave unless it fails.
func (g *gate) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	g.mu.RLock()
	if g.closed {
		g.mu.RUnlock()
		return ErrClosed
	}
	return nil
}

func (g *gate) leave() { g.mu.RUnlock() }

// close tells whether this call closed it.
func (g *gate) close() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	was := g.closed
	g.closed = true
	return !was
}

// through runs f inside the gate.
func (g *gate) through(ctx context.Context, f func() error) error {
	if err := g.enter(ctx); err != nil {
		return err
	}
	defer g.leave()
	return f()
}

// each iterates inside the gate, but is outside while the caller has an item: it may call anything then,
// Close too, after which the next item is [ErrClosed].
func each[T any](ctx context.Context, g *gate, items func() iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		if err := g.enter(ctx); err != nil {
			yield(none, err)
			return
		}
		inside := true
		defer func() {
			if inside {
				g.leave()
			}
		}()
		for item, err := range items() {
			g.leave()
			inside = false
			if !yield(item, err) {
				return
			}
			if err := g.enter(ctx); err != nil {
				yield(none, err)
				return
			}
			inside = true
		}
	}
}
