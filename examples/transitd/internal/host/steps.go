// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"

	"google.golang.org/protobuf/proto"

	"github.com/mizar-go/mizar/dataplane"
)

// removing is a step, or half of one, that removes a resource, and what goes with it.
type removing struct {
	k       kind
	there   *have
	missing bool // a step before took it along, and puts it back
	restore func(ctx context.Context, now proto.Message) error
}

func (r *removing) do(ctx context.Context) (err error) {
	if r.restore, err = r.k.keeps(ctx, r.there); err != nil {
		return err
	}
	err = r.k.unwrite(ctx, r.there)
	if r.missing = errors.Is(err, dataplane.ErrNotFound); r.missing { // as a deleted endpoint's chains
		return nil
	}
	return err
}

func (r *removing) undo(ctx context.Context) error {
	if r.missing || r.there.broken != "" && !r.there.lame {
		return nil
	}
	now, err := r.k.write(ctx, r.there.msg, nil)
	if err != nil {
		return err
	}
	return r.restore(ctx, now)
}

// write gives the status to what is asked for.
func (h *Host) write(p *plan, k kind, n name, want proto.Message, there *have) func(context.Context) error {
	return func(ctx context.Context) error {
		got, err := k.write(ctx, want, there)
		if err != nil {
			return err
		}
		p.change.put[n] = got
		return nil
	}
}

// unwrite takes away what write added.
func (h *Host) unwrite(p *plan, k kind, n name) func(context.Context) error {
	return func(ctx context.Context) error {
		return k.unwrite(ctx, &have{key: n.key, msg: p.change.put[n]})
	}
}

// rewrite puts back what write replaced.
func (h *Host) rewrite(p *plan, k kind, n name, was *have) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := k.write(ctx, was.msg, &have{key: n.key, msg: p.change.put[n]})
		return err
	}
}
