// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"

	"google.golang.org/protobuf/proto"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/examples/transitd/internal/host"
	"github.com/mizar-go/mizar/examples/transitd/internal/listen"
)

// What all kinds of resources have in common, with the message's type put back.

func put[M proto.Message](ctx context.Context, h *host.Host, m M) (got M, outcome pb.Outcome, err error) {
	now, outcome, err := h.Put(ctx, m, by(ctx))
	if err != nil {
		return got, 0, err
	}
	return now.(M), outcome, nil
}

func get[M proto.Message](ctx context.Context, h *host.Host, m M) (got M, err error) {
	now, err := h.Get(ctx, m)
	if err != nil {
		return got, err
	}
	return now.(M), nil
}

func list[M proto.Message](ctx context.Context, h *host.Host, id pb.Kind, in func(M) bool) ([]M, error) {
	all, err := h.List(ctx, id)
	if err != nil {
		return nil, err
	}
	var out []M
	for _, m := range all {
		if m := m.(M); in == nil || in(m) {
			out = append(out, m)
		}
	}
	return out, nil
}

func remove(ctx context.Context, h *host.Host, m proto.Message, etag string, allowMissing bool) (pb.Outcome, error) {
	return h.Remove(ctx, m, etag, allowMissing, by(ctx))
}

// by is who calls.
func by(ctx context.Context) string { return listen.From(ctx).Name }
