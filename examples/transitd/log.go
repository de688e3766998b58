// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"github.com/coreos/go-systemd/v22/journal"

	"github.com/mizar-go/mizar/examples/transitd/internal/config"
)

// logger writes a line a record, also as the journal takes it.
func logger(c config.Log, to io.Writer, journalled bool) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.Level}
	marked := &marker{to: to}
	if journalled {
		to = marked
	}
	var h slog.Handler = slog.NewTextHandler(to, options)
	if c.Format == config.FormatJSON {
		h = slog.NewJSONHandler(to, options)
	}
	if journalled {
		h = prioritized{Handler: h, to: marked}
	}
	return slog.New(h)
}

// prioritized tells systemd's journal the level of each record, by which `journalctl -p warning` finds what there is to
// look at: the journal takes all that comes by stderr as info, but for a number before the line, sd-daemon(3).
type prioritized struct {
	slog.Handler
	to *marker
}

func (p prioritized) Handle(ctx context.Context, r slog.Record) error {
	p.to.mu.Lock()
	defer p.to.mu.Unlock()
	p.to.mark = fmt.Sprintf("<%d>", priority(r.Level))
	return p.Handler.Handle(ctx, r)
}

func (p prioritized) WithAttrs(attrs []slog.Attr) slog.Handler {
	return prioritized{p.Handler.WithAttrs(attrs), p.to}
}

func (p prioritized) WithGroup(name string) slog.Handler {
	return prioritized{p.Handler.WithGroup(name), p.to}
}

func priority(l slog.Level) journal.Priority {
	switch {
	case l >= slog.LevelError:
		return journal.PriErr
	case l >= slog.LevelWarn:
		return journal.PriWarning
	case l >= slog.LevelInfo:
		return journal.PriInfo
	default:
		return journal.PriDebug
	}
}

// marker puts a mark before what is written at a time, which is a record.
type marker struct {
	to   io.Writer
	mu   sync.Mutex
	mark string
}

func (m *marker) Write(b []byte) (int, error) {
	if _, err := m.to.Write(append([]byte(m.mark), b...)); err != nil {
		return 0, err
	}
	return len(b), nil
}
