// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"context"
	"net/http"

	"connectrpc.com/connect"
	"github.com/mizar-go/mizar/examples/transitd/internal/config"
)

// maxQuestion bounds the messages of procedures that only read: none of them has a long question.
const maxQuestion = 64 << 10

// Options are for all handlers behind a [Server]: they bound messages, which counts for what a packed one
// unpacks to, too; turn panics into INTERNAL; and end streams when the server does.
func Options(c config.RPC) []connect.HandlerOption {
	most, all := int(c.MaxMessageBytes), methods()
	return []connect.HandlerOption{
		connect.WithConditionalHandlerOptions(func(s connect.Spec) []connect.HandlerOption {
			most := most
			if all[s.Procedure].reads {
				most = min(most, maxQuestion)
			}
			return []connect.HandlerOption{connect.WithReadMaxBytes(most), gzipUpTo(most)}
		}),
		connect.WithInterceptors(watcher{}),
		connect.WithRecover(func(ctx context.Context, _ connect.Spec, _ http.Header, value any) error {
			return callOf(ctx).panicked(value)
		}),
	}
}

// watcher notes what handlers return, and has ended streams return why.
type watcher struct{}

func (watcher) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, req connect.AnyRequest) (connect.AnyResponse, error) {
		res, err := next(ctx, req)
		callOf(ctx).returned(err)
		return res, err
	}
}

func (watcher) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		err := next(ctx, conn)
		c := callOf(ctx)
		if c.stream != nil {
			if why := c.stream.ended(); why != nil {
				err = why
			}
		}
		c.returned(err)
		return err
	}
}

func (watcher) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}
