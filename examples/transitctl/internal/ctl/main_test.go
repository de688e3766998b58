// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/internal/testutil"
)

func TestMain(m *testing.M) {
	time.Local = time.UTC // what is printed is compared
	os.Exit(testutil.VerifyMain(m))
}

// bench is a fake daemon on a socket, and transitctl in use with it.
type bench struct {
	*testing.T
	*fake
	socket string
	dir    string // where it runs
}

func newBench(t *testing.T) *bench {
	t.Helper()
	testutil.Leaks(t)
	dir, err := os.MkdirTemp("", "ctl") // t.TempDir's may be too long for a socket
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	b := &bench{T: t, fake: newFake(), socket: filepath.Join(dir, "d.sock"), dir: dir}
	l, err := net.Listen("unix", b.socket)
	require.NoError(t, err)
	serve(t, &http.Server{Handler: b.handler()}, l)
	t.Setenv("TRANSITCTL_CONFIG", filepath.Join(dir, "config.yaml"))
	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "xterm")
	b.file("config.yaml", "current-context: here\ncontexts:\n- name: here\n  host: unix://"+b.socket+"\n")
	t.Chdir(dir)
	return b
}

// serve serves HTTP/2 until the test ends.
func serve(t *testing.T, s *http.Server, l net.Listener) {
	t.Helper()
	s.Protocols = new(http.Protocols)
	s.Protocols.SetUnencryptedHTTP2(true)
	s.Protocols.SetHTTP2(true)
	done := make(chan error, 1)
	go func() {
		if s.TLSConfig != nil {
			done <- s.ServeTLS(l, "", "")
		} else {
			done <- s.Serve(l)
		}
	}()
	t.Cleanup(func() {
		require.NoError(t, s.Close())
		require.ErrorIs(t, <-done, http.ErrServerClosed)
	})
}

func (b *bench) file(name, text string) string {
	b.Helper()
	path := filepath.Join(b.dir, name)
	require.NoError(b, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// run runs transitctl with arguments without spaces.
func (b *bench) run(line string) (code int, stdout, stderr string) {
	b.Helper()
	return b.runWith(b.Context(), "", strings.Fields(line)...)
}

func (b *bench) runWith(ctx context.Context, in string, args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = Run(ctx, args, strings.NewReader(in), &out, &err)
	return code, out.String(), err.String()
}

// ok is the output of what has to go well.
func (b *bench) ok(line string) string {
	b.Helper()
	code, out, err := b.run(line)
	require.Zero(b, code, "%s: %s", line, err)
	require.Empty(b, err, line)
	return out
}

// fails runs what has to fail with a code, and one line that says what it contains.
func (b *bench) fails(code int, line string, contains ...string) {
	b.Helper()
	got, out, err := b.run(line)
	require.Equal(b, code, got, "%s: %s", line, err)
	require.Empty(b, out, line)
	for _, c := range contains {
		require.Contains(b, err, c, line)
	}
	require.True(b, strings.HasPrefix(err, "transitctl: "), err)
	require.Equal(b, 1, strings.Count(err, "\n"), err)
}
