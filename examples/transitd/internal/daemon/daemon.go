// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"connectrpc.com/connect"

	"github.com/mizar-go/mizar/dataplane"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/examples/transitd/internal/config"
	"github.com/mizar-go/mizar/examples/transitd/internal/fill"
	"github.com/mizar-go/mizar/examples/transitd/internal/host"
	"github.com/mizar-go/mizar/examples/transitd/internal/life"
	"github.com/mizar-go/mizar/examples/transitd/internal/listen"
	"github.com/mizar-go/mizar/examples/transitd/internal/metrics"
	"github.com/mizar-go/mizar/examples/transitd/internal/server"
)

// Run is the daemon, until ctx ends or a signal does. Traffic goes on after it.
func Run(ctx context.Context, c config.Config, log *slog.Logger) (err error) {
	h, err := host.Open(ctx, options(c, log))
	if err != nil {
		return fmt.Errorf("open host: %w", locked(err))
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	log.Info("host is open", "instance", c.Name, "adopted", h.Dataplane().Report().Adopted, "etag", h.Etag())

	meter := fill.New(fill.Config{Instance: c.Name, BPFFS: c.BPFFS})
	defer func() { err = errors.Join(err, meter.Close()) }()
	shown, err := metrics.New(metrics.Config{Dataplane: h.Dataplane(), Fill: meter, Healthy: healthy(h), Logger: log})
	if err != nil {
		return err
	}

	mux := http.NewServeMux()
	handling := append([]connect.HandlerOption{connect.WithInterceptors(shown.Interceptor())}, listen.Options(c.RPC)...)
	server.Register(mux, h, server.Options{Tables: tables(meter), Handler: handling})
	health := listen.NewHealth(server.Services()...)
	health.Mount(mux, handling...)
	denied := func(made listen.Call) {
		if made.Denied {
			shown.Denied(made.Code)
		}
	}
	s, err := listen.New(listen.Config{Listen: c.Listen, RPC: c.RPC, Observe: denied}, mux, log)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}

	ctx, stop := context.WithCancel(ctx)
	scraped := make(chan error, 1)
	go func() { scraped <- scrape(ctx, shown, c.Metrics, log) }()
	defer func() {
		stop()
		err = errors.Join(err, <-scraped)
	}()
	return life.Run(ctx, life.Config{
		Serve: s.Serve, Drain: s.Drain, DrainTime: c.Drain, Logger: log,
		Ready: func() {
			health.SetAll(true)
			for _, a := range s.Addrs() {
				log.Info("listening", "address", a.String())
			}
		},
		Stopping: func() { health.SetAll(false) },
		Healthy:  h.Alive,
	})
}

// Destroy takes down what the daemon made on this host, and forgets what was asked for. None may run.
func Destroy(ctx context.Context, c config.Config, log *slog.Logger) error {
	if err := host.Destroy(ctx, options(c, log)); err != nil {
		return fmt.Errorf("destroy host: %w", locked(err))
	}
	return nil
}

// locked says what to do where another process has the data-plane open.
func locked(err error) error {
	if errors.Is(err, dataplane.ErrLocked) {
		return fmt.Errorf("stop the transitd, or whatever it is, that has it: %w", err)
	}
	return err
}

func options(c config.Config, log *slog.Logger) host.Options {
	return host.Options{
		Dataplane: dataplane.Config{
			Name: c.Name, BPFFS: c.BPFFS, Limits: c.Limits, Port: c.Port, DirectAge: c.DirectAge, PathAge: c.PathAge,
			EventsPerSecond: c.EventsPerSecond,
		},
		StateDir: c.StateDir, OVS: c.OVS.Socket, Logger: log,
	}
}

// scrape shows metrics. That they cannot be shown does not end the daemon: packets and calls come first.
func scrape(ctx context.Context, m *metrics.Metrics, c config.Metrics, log *slog.Logger) error {
	if !c.Address.IsValid() {
		return nil
	}
	for ctx.Err() == nil {
		err := m.Serve(ctx, c.Address.String())
		if ctx.Err() != nil {
			return nil
		}
		log.Error("metrics are not shown; trying again", "address", c.Address, "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Second):
		}
	}
	return nil
}

// healthy is what metrics show: that nothing differs from what was asked for.
func healthy(h *host.Host) func(context.Context) bool {
	return func(ctx context.Context) bool {
		is, err := h.Health(ctx)
		return err == nil && is.Healthy
	}
}

func tables(m *fill.Meter) func(context.Context) ([]*pb.Table, error) {
	return func(ctx context.Context) ([]*pb.Table, error) {
		all, err := m.Tables(ctx)
		var out []*pb.Table
		for _, t := range all {
			out = append(out, &pb.Table{Name: t.Name, Entries: t.Entries, Capacity: t.Capacity})
		}
		return out, err
	}
}
