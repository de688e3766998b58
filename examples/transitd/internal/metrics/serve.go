// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/net/netutil"
)

const (
	maxScrapes     = 8  // at once; they share one reading
	maxConnections = 64 // at once; more wait
	slack          = time.Second
	headerTimeout  = 3 * time.Second
	idleTimeout    = 2 * time.Minute // more than the time between two scrapes
	drainTimeout   = 5 * time.Second
	healthTimeout  = 2 * time.Second
)

// Handler answers scrapes. Those that come at once share one reading, and more than a few are refused. One that
// could not read everything gives the rest, and counts that.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog:            failures{m},
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: maxScrapes,
		CoalesceGather:      true,
		Timeout:             m.config.Timeout + slack,
	})
}

// failures counts what the registry had to leave out, or could not send.
type failures struct{ m *Metrics }

// Println implements promhttp.Logger.
func (f failures) Println(v ...any) {
	f.m.errors.WithLabelValues("registry").Inc()
	f.m.config.Logger.Warn("scrape lacks something", "part", "registry", "error", fmt.Sprint(v...))
}

// Serve serves GET /metrics and /healthz at a TCP address until ctx ends.
func (m *Metrics) Serve(ctx context.Context, addr string) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("serve metrics: %w", err)
	}
	return m.ServeOn(ctx, l)
}

// ServeOn is Serve on a listener that is there, which it closes.
func (m *Metrics) ServeOn(ctx context.Context, l net.Listener) error {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", m.Handler())
	mux.HandleFunc("GET /healthz", m.healthz)
	s := &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       headerTimeout, // no request has a body
		WriteTimeout:      m.config.Timeout + 2*slack + headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(m.config.Logger.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(netutil.LimitListener(l, maxConnections)) }()
	select {
	case err := <-served:
		return fmt.Errorf("serve metrics: %w", errors.Join(err, s.Close()))
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	err := s.Shutdown(drain)
	if err != nil { // who is slow is cut off
		err = s.Close()
	}
	if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	if err != nil {
		return fmt.Errorf("end serving metrics: %w", err)
	}
	return nil
}

func (m *Metrics) healthz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), healthTimeout)
	defer cancel()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if m.config.Healthy != nil && !m.config.Healthy(ctx) {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, "unhealthy\n")
		return
	}
	_, _ = io.WriteString(w, "ok\n")
}
