// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/dataplane"
	"github.com/mizar-go/mizar/examples/transitd/internal/fill"
)

const (
	// DefaultMaxEndpoints is how many endpoints have series of their own: four each.
	DefaultMaxEndpoints = 1000
	// DefaultMaxVPCs is how many VPCs have series of their own: eight each, with those of the endpoints that have
	// none.
	DefaultMaxVPCs = 1000
	// DefaultTimeout is well below Prometheus's own of 10 seconds.
	DefaultTimeout = 5 * time.Second
)

// Config says what to show.
type Config struct {
	// Dataplane is what is shown. It stays the caller's; when it is closed, what it had to say is missing.
	Dataplane *dataplane.Dataplane
	// Fill counts the tables' rows. It stays the caller's. Nil: how full tables are is not shown.
	Fill *fill.Meter
	// Healthy tells, before ctx ends, whether the daemon does what it is for. Nil: mizar_healthy is not shown,
	// and who asks is told that it is.
	Healthy func(ctx context.Context) bool
	// Version is the daemon's. Empty: that of its module, as it was built.
	Version string
	// MaxEndpoints bounds the endpoints that have series of their own. Those that came first have them, until they
	// go. Zero: [DefaultMaxEndpoints]; negative: none has.
	MaxEndpoints int
	// MaxVPCs bounds the VPCs likewise. Zero: [DefaultMaxVPCs]; negative: none has.
	MaxVPCs int
	// Timeout bounds the reading for one scrape: what was not read by then is missing. Zero: [DefaultTimeout].
	Timeout time.Duration
	// Logger takes what could not be read. Nil: it is only counted.
	Logger *slog.Logger
}

// ErrInvalid: a config makes no sense.
var ErrInvalid = errors.New("invalid")

func (c Config) withDefaults() Config {
	if c.Version == "" {
		if info, ok := debug.ReadBuildInfo(); ok {
			c.Version = info.Main.Version
		}
	}
	if c.MaxEndpoints == 0 {
		c.MaxEndpoints = DefaultMaxEndpoints
	}
	if c.MaxVPCs == 0 {
		c.MaxVPCs = DefaultMaxVPCs
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func (c Config) validate() error {
	switch {
	case c.Dataplane == nil:
		return fmt.Errorf("%w: no data-plane", ErrInvalid)
	case c.Timeout < 0:
		return fmt.Errorf("%w: timeout %v", ErrInvalid, c.Timeout)
	}
	return nil
}

// Metrics are a registry and what fills it. It is safe for concurrent use, and has nothing to close.
type Metrics struct {
	config   Config
	registry *prometheus.Registry
	errors   *prometheus.CounterVec
	rpc      *rpc
}

// New makes the metrics of a data-plane. A config that makes no sense: [ErrInvalid].
func New(c Config) (*Metrics, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("make metrics: %w", err)
	}
	m := &Metrics{config: c, registry: prometheus.NewRegistry(), rpc: newRPC()}
	m.errors = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "mizar_scrape_errors_total",
		Help: "Scrapes that lack something as it could not be read, by what that is.",
	}, []string{"part"})
	for _, collector := range append([]prometheus.Collector{
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		buildInfo(c.Version),
		newCollector(c, m.errors),
	}, m.rpc.collectors()...) {
		if err := m.registry.Register(collector); err != nil {
			return nil, fmt.Errorf("make metrics: %w", err)
		}
	}
	return m, nil
}

// Registerer takes what else the daemon has to show.
func (m *Metrics) Registerer() prometheus.Registerer { return m.registry }

func buildInfo(version string) prometheus.Collector {
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "mizar_build_info",
		Help: "Always 1; the labels have the daemon's version, Go's, and the build of the eBPF programs.",
		ConstLabels: prometheus.Labels{
			"version": valid(version), "goversion": runtime.Version(), "programs": fmt.Sprintf("%016x", bpf.Build()),
		},
	})
	info.Set(1)
	return info
}
