// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"bytes"
	"log"
	"log/slog"
	"sync/atomic"

	"golang.org/x/time/rate"
)

// warnings are what strangers can have us log, as often as they like; so they are few, and say how many were not
// told.
type warnings struct {
	log  *slog.Logger
	few  *rate.Limiter
	more atomic.Uint64
}

func newWarnings(log *slog.Logger) *warnings {
	return &warnings{log: log, few: rate.NewLimiter(10, 50)}
}

func (w *warnings) warn(what string, attrs ...any) {
	if !w.few.Allow() {
		w.more.Add(1)
		return
	}
	if n := w.more.Swap(0); n > 0 {
		attrs = append(attrs, "untold", n)
	}
	w.log.Warn(what, attrs...)
}

// logger is for net/http, which tells of handshakes that failed.
func (w *warnings) logger() *log.Logger { return log.New(lines{w}, "", 0) }

type lines struct{ *warnings }

func (l lines) Write(b []byte) (int, error) {
	l.warn("http", "error", string(bytes.TrimSpace(b)))
	return len(b), nil
}
