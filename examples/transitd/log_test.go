// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"log/slog"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/examples/transitd/internal/config"
)

// Each record is a line that begins with its priority for the journal, and for nobody else.
func TestLogger(t *testing.T) {
	text, json := config.Log{Level: slog.LevelDebug}, config.Log{Level: slog.LevelDebug, Format: config.FormatJSON}
	for name, c := range map[string]struct {
		config  config.Log
		journal bool
		want    []string
	}{
		"text":              {text, false, []string{"level=DEBUG msg=a", "level=INFO msg=b", "level=WARN msg=c k=v", `level=ERROR msg="d\ne" g.k=v`}},
		"text to journal":   {text, true, []string{"<7>level=DEBUG msg=a", "<6>level=INFO msg=b", "<4>level=WARN msg=c k=v", `<3>level=ERROR msg="d\ne" g.k=v`}},
		"JSON to journal":   {json, true, []string{`<7>{"level":"DEBUG","msg":"a"}`, `<6>{"level":"INFO","msg":"b"}`, `<4>{"level":"WARN","msg":"c","k":"v"}`, `<3>{"level":"ERROR","msg":"d\ne","g":{"k":"v"}}`}},
		"what matters only": {config.Log{Level: slog.LevelWarn}, true, []string{"<4>level=WARN msg=c k=v", `<3>level=ERROR msg="d\ne" g.k=v`}},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			l := logger(c.config, &b, c.journal)
			l.Debug("a")
			l.Info("b")
			l.With("k", "v").Warn("c")
			l.WithGroup("g").Error("d\ne", "k", "v")
			timeless := regexp.MustCompile(`time=\S+ |"time":"[^"]*",`).ReplaceAll(b.Bytes(), nil)
			var got []string
			for line := range bytes.Lines(timeless) {
				got = append(got, string(bytes.TrimSuffix(line, []byte("\n"))))
			}
			require.Equal(t, c.want, got)
		})
	}
}
