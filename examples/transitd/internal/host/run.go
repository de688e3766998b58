// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/mizar-go/mizar/dataplane"
)

// run takes the steps of a plan; where a table is full, what goes makes room first. A step that fails ends it, and those
// before it are undone. Where each is given, it hears of every step, and of those that fail too: then the others are
// taken all the same.
func (h *Host) run(ctx context.Context, p *plan, each func(s step, err error)) error {
	todo := units(p.steps)
	for i := 0; i < len(todo); {
		u := todo[i]
		apart, err := u.do(ctx)
		h.beat.Add(1)
		if errors.Is(err, dataplane.ErrFull) && makeRoom(todo[i:]) {
			continue // with what goes; u is tried again after it
		}
		if apart {
			todo = slices.Replace(todo, i, i+1, u.apart()...)
			continue
		}
		i++
		if each != nil {
			for _, s := range u {
				each(s, err)
			}
			continue
		}
		if err == nil {
			continue
		}
		if isHalf(err) {
			h.leftOf(u, err)
		}
		for _, done := range slices.Backward(todo[:i-1]) {
			if undo := done.undo(ctx); undo != nil {
				h.leftOf(done, undo)
				err = errors.Join(err, fmt.Errorf("undo: %w", undo))
			}
			h.beat.Add(1)
		}
		return err
	}
	return nil
}

// subject is the resource that a step puts, or removes.
type subject struct {
	k   kind
	put proto.Message // nil: it removes
	was proto.Message // nil: nothing was there
}

// unit is a step, or many that are taken at once: each by itself might wait for the packets that are under way.
type unit []step

// units joins steps that are in a row.
func units(steps []step) (all []unit) {
	for _, s := range steps {
		if n := len(all) - 1; n >= 0 && s.joins(all[n][0]) {
			all[n] = append(all[n], s)
		} else {
			all = append(all, unit{s})
		}
	}
	return all
}

func (s step) joins(first step) bool {
	return s.what.k != nil && s.what.k == first.what.k && s.what.k.takesMany() && s.phase == first.phase &&
		(s.what.put == nil) == (first.what.put == nil)
}

// apart are the steps of a unit, one by one.
func (u unit) apart() (all []unit) {
	for _, s := range u {
		all = append(all, unit{s})
	}
	return all
}

// do takes the steps. Where many fail together, and all is as before, they may be taken apart: one of them has the
// error to itself, and only those before it are in its way.
func (u unit) do(ctx context.Context) (apart bool, err error) {
	if len(u) == 1 {
		return false, u[0].do(ctx)
	}
	k, puts := u[0].what.k, u[0].what.put != nil
	if puts {
		err = k.writeAll(ctx, u.pick(func(c subject) proto.Message { return c.put }))
	} else {
		err = k.unwriteAll(ctx, u.pick(func(c subject) proto.Message { return c.was }))
	}
	if err == nil {
		return false, nil
	}
	if undo := u.undo(ctx); undo != nil {
		return false, errors.Join(err, fmt.Errorf("undo: %w", undo))
	}
	return true, err
}

func (u unit) undo(ctx context.Context) error {
	if len(u) == 1 {
		return u[0].undo(ctx)
	}
	added := u.pick(func(c subject) proto.Message {
		if c.was != nil {
			return nil
		}
		return c.put
	})
	k := u[0].what.k
	return errors.Join(k.unwriteAll(ctx, added), k.writeAll(ctx, u.pick(func(c subject) proto.Message { return c.was })))
}

// pick is what f finds in the steps, without what is nil.
func (u unit) pick(f func(subject) proto.Message) (all []proto.Message) {
	for _, s := range u {
		if m := f(s.what); m != nil {
			all = append(all, m)
		}
	}
	return all
}
