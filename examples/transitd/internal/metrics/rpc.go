// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"context"
	"errors"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// rpc measures the calls that the daemon serves.
type rpc struct {
	duration *prometheus.HistogramVec
	inFlight *prometheus.GaugeVec
	messages *prometheus.CounterVec
	denied   *prometheus.CounterVec
}

func newRPC() *rpc {
	r := &rpc{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "mizar_rpc_duration_seconds",
			Help: "How long RPCs took, by procedure, type (unary or stream) and code; streams for as long as they were open.",
			// From a read of one row to a bulk call of a million.
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"procedure", "type", "code"}),
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "mizar_rpc_in_flight",
			Help: "RPCs under way.",
		}, []string{"procedure"}),
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mizar_rpc_stream_messages_total",
			Help: "Messages of streams that were taken (receive) and sent (transmit).",
		}, []string{"procedure", "direction"}),
		denied: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mizar_rpc_denied_total",
			Help: "RPCs that were refused, for who made them or how often, before any handler heard of them.",
		}, []string{"code"}),
	}
	for _, c := range []connect.Code{connect.CodeUnauthenticated, connect.CodePermissionDenied, connect.CodeResourceExhausted} {
		r.denied.WithLabelValues(c.String()) // at zero, so that the first is a rise
	}
	return r
}

func (r *rpc) collectors() []prometheus.Collector {
	return []prometheus.Collector{r.duration, r.inFlight, r.messages, r.denied}
}

// Denied counts a call that never came as far as the interceptor, by its code.
func (m *Metrics) Denied(code string) { m.rpc.denied.WithLabelValues(code).Inc() }

// Interceptor measures calls of handlers, unary and streaming. Among interceptors it is the outermost, so that what
// others refuse is measured, too; for what is refused before, there is [Metrics.Denied]. It does not look at clients.
func (m *Metrics) Interceptor() connect.Interceptor { return m.rpc }

// WrapUnary implements connect.Interceptor.
func (r *rpc) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (response connect.AnyResponse, err error) {
		if request.Spec().IsClient {
			return next(ctx, request)
		}
		err = r.measure(procedure(request.Spec()), "unary", func() error {
			response, err = next(ctx, request)
			return err
		})
		return response, err
	}
}

// WrapStreamingClient implements connect.Interceptor.
func (r *rpc) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// WrapStreamingHandler implements connect.Interceptor.
func (r *rpc) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		name := procedure(conn.Spec())
		counted := &countedConn{
			StreamingHandlerConn: conn,
			received:             r.messages.WithLabelValues(name, "receive"),
			sent:                 r.messages.WithLabelValues(name, "transmit"),
		}
		return r.measure(name, "stream", func() error { return next(ctx, counted) })
	}
}

func (r *rpc) measure(procedure, kind string, call func() error) (err error) {
	inFlight := r.inFlight.WithLabelValues(procedure)
	inFlight.Inc()
	began, result := time.Now(), connect.CodeInternal.String() // of one that panics
	defer func() {
		inFlight.Dec()
		r.duration.WithLabelValues(procedure, kind, result).Observe(time.Since(began).Seconds())
	}()
	err = call()
	result = code(err)
	return err
}

// code is what the client is told.
func code(err error) string {
	var known *connect.Error
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &known):
		if known.Code() >= connect.CodeCanceled && known.Code() <= connect.CodeUnauthenticated {
			return known.Code().String()
		}
	case errors.Is(err, context.Canceled):
		return connect.CodeCanceled.String()
	case errors.Is(err, context.DeadlineExceeded):
		return connect.CodeDeadlineExceeded.String()
	}
	return connect.CodeUnknown.String()
}

// procedure is the name of one that a handler was generated for; health, reflection and what else there may be are
// one.
func procedure(s connect.Spec) string {
	if m, ok := s.Schema.(protoreflect.MethodDescriptor); ok {
		return string(m.Parent().FullName()) + "/" + string(m.Name())
	}
	return other
}

// countedConn counts the messages of a stream.
type countedConn struct {
	connect.StreamingHandlerConn
	received, sent prometheus.Counter
}

func (c *countedConn) Receive(m any) error {
	err := c.StreamingHandlerConn.Receive(m)
	if err == nil {
		c.received.Inc()
	}
	return err
}

func (c *countedConn) Send(m any) error {
	err := c.StreamingHandlerConn.Send(m)
	if err == nil {
		c.sent.Inc()
	}
	return err
}
