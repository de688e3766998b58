// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"log/slog"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/mizar-go/mizar/examples/transitd/internal/config"
)

// Frames that each want an answer, from somebody who takes none, or that end what they have just begun, take neither
// memory nor goroutines, and others are served meanwhile.
func TestFrameFloods(t *testing.T) {
	for name, send := range map[string]func(f *http2.Framer, n uint32, header []byte) error{
		"settings": func(f *http2.Framer, _ uint32, _ []byte) error { return f.WriteSettings() },
		"ping":     func(f *http2.Framer, _ uint32, _ []byte) error { return f.WritePing(false, [8]byte{1}) },
		"reset": func(f *http2.Framer, n uint32, header []byte) error {
			if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*n + 1, BlockFragment: header, EndHeaders: true}); err != nil {
				return err
			}
			return f.WriteRSTStream(2*n+1, http2.ErrCodeCancel)
		},
		"header": func(f *http2.Framer, n uint32, header []byte) error { // it never ends
			if n == 0 {
				return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: header})
			}
			return f.WriteContinuation(1, false, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, limits(), func(s *Server) { s.observe, s.log = nil, slog.New(slog.DiscardHandler) }, config.TCP{Address: loopback(), Insecure: true, Role: config.RoleRead})
			f, c := raw(t, w)
			other := newCaller(t, &http.Transport{}, "http://"+w.tcp(0))
			require.NoError(t, other.get(t))
			var before, now runtime.MemStats
			runtime.ReadMemStats(&before)
			routines := runtime.NumGoroutine()
			head := header(t, addEndpoint)
			require.NoError(t, c.SetDeadline(time.Now().Add(2*time.Second)))
			var err error
			var n uint32
			for ; n < 300000 && err == nil; n++ {
				err = send(f, n, head)
				if n%50000 == 49999 {
					require.NoError(t, other.get(t))
				}
			}
			require.NoError(t, other.get(t))
			most := runtime.NumGoroutine()
			runtime.GC()
			runtime.ReadMemStats(&now)
			t.Logf("%d frames: %v; %d KiB, %d goroutines more", n, err, (int64(now.HeapAlloc)-int64(before.HeapAlloc))>>10, most-routines)
			require.Less(t, int64(now.HeapAlloc)-int64(before.HeapAlloc), int64(32<<20))
			require.Less(t, most-routines, 3*w.mouths[0].HTTP2.MaxConcurrentStreams)
			require.NoError(t, c.Close())
		})
	}
}
