// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"connectrpc.com/connect"
	dataplanev1 "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// Call is what became of a call.
type Call struct {
	// Procedure is /package.Service/Method, or unknown.
	Procedure string
	// Identity is who made it; zero if that is not known.
	Identity Identity
	// Code is as Connect writes it (not_found …), or ok.
	Code string
	// Duration is from the header to the end of the answer.
	Duration time.Duration
	// Stream says that it lasted as long as the client liked.
	Stream bool
	// Denied says that it was refused for who made it, or how often, and no handler heard of it.
	Denied bool
}

const (
	ok      = "ok"
	unknown = "unknown"
)

// call is one under way.
type call struct {
	log    *slog.Logger
	path   string
	method method
	known  bool
	remote string
	who    Identity
	code   string // empty: not yet known
	denied *connect.Error
	stream *stream // nil: unary
}

type callKey struct{}

// callOf is never nil: of a handler that is called without a Server, nobody asks.
func callOf(ctx context.Context) *call {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c
	}
	return &call{log: slog.New(slog.DiscardHandler)}
}

func (c *call) returned(err error) {
	switch {
	case err == nil:
		c.code = ok
	case connect.CodeOf(err) != connect.CodeUnknown:
		c.code = connect.CodeOf(err).String()
	case errors.Is(err, context.Canceled): // as the handler's context has it
		c.code = connect.CodeCanceled.String()
	case errors.Is(err, context.DeadlineExceeded):
		c.code = connect.CodeDeadlineExceeded.String()
	default:
		c.code = connect.CodeUnknown.String()
	}
}

// panicked tells the log all, and the client nothing.
func (c *call) panicked(value any) error {
	c.log.Error("a handler panicked", "procedure", c.path, "client", c.who.Name, "panic", value, "stack", string(debug.Stack()))
	return refusal(connect.CodeInternal, dataplanev1.Cause_CAUSE_UNSPECIFIED, "the daemon made a mistake; its log has more")
}

// end tells what became of it, in one line.
func (c *call) end(w *response, r *http.Request, took time.Duration, warn func(string, ...any)) Call {
	if c.code == "" {
		c.code = w.code()
	}
	made := Call{Procedure: unknown, Identity: c.who, Code: c.code, Duration: took, Stream: c.stream != nil, Denied: c.denied != nil}
	if c.known {
		made.Procedure = c.path
	}
	attrs := []any{"procedure", c.path, "client", c.who.Name, "role", c.who.Role.String(), "remote", c.remote,
		"code", c.code, "duration", took}
	switch {
	case c.denied != nil:
		attrs = append(attrs, "reason", c.denied.Message())
		if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
			leaf := r.TLS.PeerCertificates[0]
			attrs = append(attrs, "subject", leaf.Subject.String(), "serial", leaf.SerialNumber.Text(16))
		}
		warn("denied", attrs...)
	case c.known && c.method.reads:
		c.log.Debug("call", attrs...)
	default:
		c.log.Info("call", attrs...)
	}
	return made
}
