// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1/dataplanev1connect"
)

const watchEvents = dataplanev1connect.StatsServiceWatchEventsProcedure

// Who does not take what it asked for does not keep the daemon from its end.
func TestDrainUnread(t *testing.T) {
	for _, version := range []int{1, 2} {
		t.Run(fmt.Sprintf("HTTP/%d", version), func(t *testing.T) {
			w := start(t, limits(), func(s *Server) { s.times.last = 300 * time.Millisecond })
			w.service.flood = true
			if version == 2 {
				f, _ := raw(t, w)
				require.NoError(t, f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, BlockFragment: header(t, watchEvents)}))
				require.NoError(t, f.WriteData(1, true, make([]byte, 5)))
			} else {
				c, err := net.Dial("unix", w.socket)
				require.NoError(t, err)
				defer c.Close()
				_, err = io.WriteString(c, "POST "+watchEvents+" HTTP/1.1\r\nHost: x\r\nContent-Type: application/connect+proto\r\nContent-Length: 5\r\n\r\n\x00\x00\x00\x00\x00")
				require.NoError(t, err)
			}
			<-w.service.holding
			time.Sleep(200 * time.Millisecond) // until nothing goes through
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			require.NoError(t, w.Drain(ctx))
			require.NoError(t, w.end())
			require.Equal(t, "unavailable", w.ended(t, watchEvents).Code)
		})
	}
}

// Nor does who was refused, and sends the rest of its body never, or a byte now and then.
func TestDrainRefused(t *testing.T) {
	for name, send := range map[string]string{
		"half a body": "Content-Length: 1000\r\n\r\n{",
		"half chunks": "Transfer-Encoding: chunked\r\n\r\n5\r\n{",
	} {
		t.Run(name, func(t *testing.T) {
			clients := newAuthority(t, "clients")
			w, own, _ := startTLS(t, limits(), clients)
			c, err := tls.Dial("tcp", w.tcp(0), &tls.Config{RootCAs: own.pool(), NextProtos: []string{"http/1.1"}})
			require.NoError(t, err)
			defer c.Close()
			_, err = io.WriteString(c, "POST "+addEndpoint+" HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"+send)
			require.NoError(t, err)
			require.Equal(t, "unauthenticated", w.ended(t, addEndpoint).Code)
			ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
			defer cancel()
			require.NoError(t, w.Drain(ctx))
			require.NoError(t, w.end())
		})
	}
}
