// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"iter"

	"google.golang.org/protobuf/proto"
)

// mapped is f of all that comes without an error.
func mapped[From, To any](rows iter.Seq2[From, error], f func(From) To) iter.Seq2[To, error] {
	return func(yield func(To, error) bool) {
		for row, err := range rows {
			var to To
			if err == nil {
				to = f(row)
			}
			if !yield(to, err) {
				return
			}
		}
	}
}

// equal compares what was asked for.
func equal[M proto.Message](want, have M) bool { return proto.Equal(bare(want), bare(have)) }

// fits is equal, for kinds of which the kernel tells everything.
func fits[M proto.Message](_ context.Context, want, have M) bool { return equal(want, have) }
