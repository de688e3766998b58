// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"iter"

	"google.golang.org/protobuf/proto"

	"github.com/mizar-go/mizar/dataplane"
)

// rows completes the spec of a kind whose resources are rows of one table, and no more.
func rows[M proto.Message, Key, Row any](
	s *spec[M], table *dataplane.Rows[Key, Row], to func(M) (Row, error), from func(Row) M, key func(M) (Key, error),
) kind {
	s.check = func(m M) error { _, err := to(m); return err }
	s.get = func(ctx context.Context, m M) (none M, _ error) {
		k, err := key(m)
		if err != nil {
			return none, err
		}
		row, err := table.Get(ctx, k)
		return from(row), err
	}
	s.list = func(ctx context.Context) iter.Seq2[M, error] { return mapped(table.List(ctx), from) }
	s.put = func(ctx context.Context, want, _ M) (none M, _ error) {
		row, err := to(want)
		if err != nil {
			return none, err
		}
		return want, table.Add(ctx, row)
	}
	s.putAll = func(ctx context.Context, all []M) error {
		rows, err := convert(all, to)
		if err != nil {
			return err
		}
		return table.AddAll(ctx, rows)
	}
	s.remove = func(ctx context.Context, m M) error {
		k, err := key(m)
		if err != nil {
			return err
		}
		return table.Remove(ctx, k)
	}
	s.removeAll = func(ctx context.Context, all []M) error {
		keys, err := convert(all, key)
		if err != nil {
			return err
		}
		return table.RemoveAll(ctx, keys)
	}
	s.fits = fits[M]
	return s
}

// convert gives what f makes of all, or the first error.
func convert[T, U any](all []T, f func(T) (U, error)) ([]U, error) {
	out := make([]U, len(all))
	for i, t := range all {
		u, err := f(t)
		if err != nil {
			return nil, err
		}
		out[i] = u
	}
	return out, nil
}
