// SPDX-License-Identifier: Apache-2.0

package plumb

import (
	"context"
	"errors"
	"fmt"
)

// plan is what there is to do, in order. None: nothing.
type plan struct {
	outcome Outcome
	steps   []step
}

// step is one change. Back takes it back, also where it got half-way; nil: that of an earlier step does.
type step struct {
	name     string
	do, back func(context.Context) error
}

// then adds a step that needs no context.
func (p *plan) then(name string, do, back func() error) {
	s := step{name: name, do: func(context.Context) error { return do() }}
	if back != nil {
		s.back = func(context.Context) error { return back() }
	}
	p.steps = append(p.steps, s)
}

// settle says what a plan comes to.
func (p *plan) settle(there bool) *plan {
	switch {
	case len(p.steps) == 0:
		p.outcome = Unchanged
	case there:
		p.outcome = Replaced
	default:
		p.outcome = Added
	}
	return p
}

// apply plans and, unless dry, does it: all or nothing.
func (p *Plumber) apply(ctx context.Context, what string, dry bool, make func(context.Context) (*plan, error)) (Outcome, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	plan, err := make(ctx)
	if err == nil && !dry {
		err = p.run(ctx, plan.steps)
	}
	if err != nil {
		return Unchanged, fmt.Errorf("%s: %w", what, explain(err))
	}
	return plan.outcome, nil
}

func (p *Plumber) run(ctx context.Context, steps []step) (err error) {
	var undo []func(context.Context) error
	defer func() {
		if err == nil {
			return
		}
		ctx := context.WithoutCancel(ctx)
		for i := len(undo) - 1; i >= 0; i-- {
			if back := undo[i](ctx); back != nil {
				err = errors.Join(err, fmt.Errorf("%w: %w", ErrNotUndone, back))
			}
		}
	}()
	for _, s := range steps {
		if p.fail != nil {
			if err := p.fail(s.name); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if s.back != nil {
			undo = append(undo, s.back)
		}
		if err := s.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	if p.fail != nil {
		if err := p.fail("done"); err != nil {
			return fmt.Errorf("done: %w", err)
		}
	}
	return nil
}
