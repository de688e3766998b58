// SPDX-License-Identifier: Apache-2.0

package droplet

import (
	"context"
	"errors"
	"fmt"
)

// errLeft: a step could not be taken back.
var errLeft = errors.New("something is left behind")

// step is one part of a change: one thing that fails whole, or takes back itself what it did by then.
type step struct {
	name string
	do   func() error
	undo func() error // nil: there is nothing to take back, or no step behind it
}

// run takes the steps in order. Where one fails, or the context ends, those before it are undone, the
// last first, whatever the context says.
func (m *Manager) run(ctx context.Context, steps []step) error {
	for i, s := range steps {
		err := m.before(ctx, s.name)
		if err == nil {
			err = s.do()
		}
		if err == nil {
			continue
		}
		for i--; i >= 0; i-- {
			if steps[i].undo == nil {
				continue
			}
			if back := steps[i].undo(); back != nil {
				err = errors.Join(err, fmt.Errorf("take back %s: %w: %w", steps[i].name, errLeft, back))
			}
		}
		return err
	}
	return nil
}

func (m *Manager) before(ctx context.Context, step string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if m.failAt != nil {
		return m.failAt(step)
	}
	return nil
}
