// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	dataplanev1 "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/examples/transitd/internal/config"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/protobuf/proto"
)

type netDialer = net.Dialer

type dialer func(ctx context.Context, network, addr string) (net.Conn, error)

func counting(n *int, dial dialer) dialer {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		*n++
		return dial(ctx, network, addr)
	}
}

// ended waits for the next call of a procedure to end.
func (w *world) ended(t testing.TB, procedure string) Call {
	t.Helper()
	for {
		select {
		case c := <-w.calls:
			if c.Procedure == procedure {
				return c
			}
		case <-time.After(10 * time.Second):
			require.Fail(t, "no call of "+procedure+" ended", w.logs.last())
		}
	}
}

// A message may be so large, and not larger when it is unpacked.
func TestMessageSize(t *testing.T) {
	small := limits()
	small.MaxMessageBytes = 4 << 20
	w := start(t, small, nil)
	large := &dataplanev1.AddEndpointRequest{Endpoint: &dataplanev1.Endpoint{Mac: strings.Repeat("x", 5<<20)}}
	for name, options := range protocols {
		for _, packed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s packed=%v", name, packed), func(t *testing.T) {
				if packed {
					options = append([]connect.ClientOption{connect.WithSendGzip()}, options...)
				}
				c := w.byUnix(t, true, options...)
				before := w.service.calls.Load()
				_, err := c.AddEndpoint(t.Context(), connect.NewRequest(large))
				require.Equal(t, connect.CodeResourceExhausted.String(), connect.CodeOf(err).String(), "%v", err)
				made := w.ended(t, addEndpoint)
				require.Equal(t, "resource_exhausted", made.Code, "%s: what the log says", name)
				require.False(t, made.Denied, "its handler's part refused it")
				require.Equal(t, before, w.service.calls.Load())
				require.NoError(t, c.add(t, 1), "others are served")
				w.ended(t, addEndpoint)
			})
		}
	}
	t.Run("in a stream", func(t *testing.T) {
		s := w.byUnix(t, true, connect.WithGRPC()).AddEndpoints(t.Context())
		_ = s.Send(&dataplanev1.AddEndpointsRequest{Endpoints: []*dataplanev1.Endpoint{large.Endpoint}})
		_, err := s.Receive()
		require.Equal(t, connect.CodeResourceExhausted.String(), connect.CodeOf(err).String(), "%v", err)
		_ = s.CloseRequest()
		_ = s.CloseResponse()
	})
	t.Run("a question", func(t *testing.T) {
		_, err := w.byUnix(t, true).GetEndpoint(t.Context(), connect.NewRequest(&dataplanev1.GetEndpointRequest{
			Key: &dataplanev1.EndpointKey{Address: strings.Repeat("x", 2<<20)}}))
		require.Equal(t, connect.CodeResourceExhausted.String(), connect.CodeOf(err).String(), "%v", err)
	})
	t.Run("a bomb", func(t *testing.T) { // 4 GiB of zeros: it is not unpacked further than it may be
		var part bytes.Buffer
		z := gzip.NewWriter(&part)
		_, err := z.Write(make([]byte, 8<<20))
		require.NoError(t, err)
		require.NoError(t, z.Close())
		packed := bytes.NewBuffer(bytes.Repeat(part.Bytes(), 450)) // one file, by gzip's rules
		require.Less(t, packed.Len(), 4<<20)
		var frame bytes.Buffer
		frame.WriteByte(1)
		require.NoError(t, binary.Write(&frame, binary.BigEndian, uint32(packed.Len())))
		frame.Write(packed.Bytes())
		c := w.byUnix(t, true)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.url+addEndpoint, &frame)
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/grpc")
		req.Header.Set("Grpc-Encoding", "gzip")
		res, err := c.http.Do(req)
		require.NoError(t, err)
		_, _ = io.Copy(io.Discard, res.Body)
		require.NoError(t, res.Body.Close())
		require.Contains(t, res.Trailer.Get("Grpc-Message")+res.Header.Get("Grpc-Message"), errTooLarge.Error())
		runtime.ReadMemStats(&after)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(64<<20))
		require.Equal(t, "8", res.Trailer.Get("Grpc-Status")+res.Header.Get("Grpc-Status"))
	})
}

// A client calls so often, and another one does not suffer from it.
func TestRate(t *testing.T) {
	few := limits()
	few.CallsPerSecond, few.Burst = 1, 5
	clients := newAuthority(t, "clients")
	w, own, _ := startTLS(t, few, clients)
	c := byTLS(t, w.tcp(0), own, clients.client(t, leaf{cn: "viewer"}))
	for range 5 {
		require.NoError(t, c.get(t))
	}
	for name, options := range protocols {
		t.Run(name, func(t *testing.T) {
			again := byTLS(t, w.tcp(0), own, clients.client(t, leaf{cn: "viewer"}), options...)
			refused(t, again.get(t), connect.CodeResourceExhausted, dataplanev1.Cause_CAUSE_RATE)
			refused(t, again.bulk(t, 1), connect.CodeResourceExhausted, dataplanev1.Cause_CAUSE_RATE)
		})
	}
	w.logs.has(t, "level", "WARN", "client", "cn:viewer", "code", "resource_exhausted", "reason", "too many calls")
	require.NoError(t, byTLS(t, w.tcp(0), own, clients.client(t, leaf{cn: "op"})).get(t))
	testutil.Eventually(t, 5*time.Second, func() error { return c.get(t) })
}

func TestRates(t *testing.T) {
	r := newRates(1, 1)
	require.True(t, r.allow("a"))
	require.False(t, r.allow("a"))
	for i := range 3 * maxClients {
		require.True(t, r.allow(fmt.Sprint(i)))
	}
	require.Len(t, r.by, maxClients)
	require.Equal(t, maxClients, r.order.Len())
	require.True(t, r.allow("a"), "it is forgotten")
}

// raw is an HTTP/2 connection without a client's manners.
func raw(t *testing.T, w *world) (*http2.Framer, net.Conn) {
	t.Helper()
	c, err := net.Dial("unix", w.socket)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(10*time.Second)))
	_, err = io.WriteString(c, http2.ClientPreface)
	require.NoError(t, err)
	f := http2.NewFramer(c, c)
	require.NoError(t, f.WriteSettings())
	return f, c
}

func header(t *testing.T, procedure string, more ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	all := append([]string{":method", "POST", ":scheme", "http", ":authority", "x", ":path", procedure,
		"content-type", "application/grpc"}, more...)
	for i := 0; i < len(all); i += 2 {
		require.NoError(t, e.WriteField(hpack.HeaderField{Name: all[i], Value: all[i+1]}))
	}
	return b.Bytes()
}

// One connection has so many streams.
func TestStreams(t *testing.T) {
	few := limits()
	few.MaxStreams = 3
	w := start(t, few, nil)
	f, _ := raw(t, w)
	told, acked := uint32(0), false
	for told == 0 || !acked {
		frame, err := f.ReadFrame()
		require.NoError(t, err)
		if s, ok := frame.(*http2.SettingsFrame); ok {
			if v, ok := s.Value(http2.SettingMaxConcurrentStreams); ok {
				told = v
				require.NoError(t, f.WriteSettingsAck())
			}
			acked = acked || s.IsAck()
		}
	}
	require.EqualValues(t, 3, told)
	for i := range 4 {
		require.NoError(t, f.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(1 + 2*i), BlockFragment: header(t, addEndpoints), EndHeaders: true}))
	}
	for {
		frame, err := f.ReadFrame()
		require.NoError(t, err)
		if r, ok := frame.(*http2.RSTStreamFrame); ok {
			require.EqualValues(t, 7, r.StreamID)
			require.Equal(t, http2.ErrCodeProtocol, r.ErrCode, "it was told how many")
			break
		}
	}
	testutil.Eventually(t, 5*time.Second, func() error {
		if n := w.service.calls.Load(); n != 3 {
			return fmt.Errorf("%d streams run", n)
		}
		return nil
	})
}

// A header has a size, and has to come in time; so has a body.
func TestSlow(t *testing.T) {
	w := start(t, limits(), func(s *Server) {
		s.times.body = 300 * time.Millisecond
		for _, m := range s.mouths {
			require.NotZero(t, m.ReadHeaderTimeout)
			require.NotZero(t, m.IdleTimeout)
			m.ReadHeaderTimeout = 300 * time.Millisecond
			m.IdleTimeout = 300 * time.Millisecond
		}
	})
	closed := func(t *testing.T, send string) string {
		t.Helper()
		c, err := net.Dial("unix", w.socket)
		require.NoError(t, err)
		defer c.Close()
		require.NoError(t, c.SetDeadline(time.Now().Add(10*time.Second)))
		_, err = io.WriteString(c, send)
		require.NoError(t, err)
		answer, err := io.ReadAll(c)
		if err != nil {
			require.NotErrorIs(t, err, context.DeadlineExceeded)
			require.False(t, errors.Is(err, errTimeout) || strings.Contains(err.Error(), "timeout"), "%v", err)
		}
		return string(answer)
	}
	t.Run("nothing", func(t *testing.T) { closed(t, "") })
	t.Run("half a header", func(t *testing.T) { closed(t, "POST "+addEndpoint+" HTTP/1.1\r\nHost: x\r\nX-") })
	t.Run("HTTP/2 without a stream", func(t *testing.T) { closed(t, http2.ClientPreface+"\x00\x00\x00\x04\x00\x00\x00\x00\x00") })
	t.Run("half a body", func(t *testing.T) {
		answer := closed(t, "POST "+addEndpoint+" HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
		require.NotContains(t, answer, "200 OK")
		require.NotEqual(t, ok, w.ended(t, addEndpoint).Code)
	})
	t.Run("half a body in HTTP/2", func(t *testing.T) {
		f, _ := raw(t, w)
		require.NoError(t, f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: header(t, addEndpoint), EndHeaders: true}))
		require.NoError(t, f.WriteData(1, false, []byte{0, 0, 0, 1, 0}))
		require.NotEqual(t, ok, w.ended(t, addEndpoint).Code)
	})
	t.Run("a handler may be slow", func(t *testing.T) {
		for _, http2 := range []bool{false, true} {
			done := make(chan error, 1)
			go func() { done <- w.byUnix(t, http2).add(t, 42) }()
			<-w.service.holding
			time.Sleep(2 * w.times.body)
			w.service.hold <- struct{}{}
			require.NoError(t, <-done)
		}
	})
	t.Run("a long header", func(t *testing.T) {
		require.Contains(t, closed(t, "GET / HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x", 100<<10)+"\r\n\r\n"), "431")
	})
}

var errTimeout = errors.New("timeout")

// A listener has so many connections. Who has shown no certificate makes room.
func TestConnections(t *testing.T) {
	few := limits()
	few.MaxConnections = 3
	clients := newAuthority(t, "clients")
	w, own, _ := startTLS(t, few, clients)
	dial := func() net.Conn {
		c, err := tls.Dial("tcp", w.tcp(0), &tls.Config{RootCAs: own.pool()})
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	gone := func(c net.Conn) bool {
		_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		_, err := c.Read(make([]byte, 1))
		var timeout net.Error
		return !errors.As(err, &timeout) || !timeout.Timeout()
	}
	strangers := []net.Conn{dial(), dial(), dial()}
	op := clients.client(t, leaf{cn: "op"})
	known := make([]*caller, 3)
	for i := range known {
		known[i] = byTLS(t, w.tcp(0), own, op)
		require.NoError(t, known[i].get(t))
		require.True(t, gone(strangers[i]), "the oldest stranger makes room")
	}
	w.logs.has(t, "level", "WARN", "msg", "too many connections")
	more := make([]net.Conn, spare+1)
	for i := range more {
		more[i] = dial()
	}
	require.True(t, gone(more[0]), "there is some more room, and no more")
	require.False(t, gone(more[spare]))
	for _, c := range known {
		n := conns(c)
		require.NoError(t, c.get(t))
		require.Zero(t, *n, "on the connection that it had")
		c.http.CloseIdleConnections()
	}
	testutil.Eventually(t, 5*time.Second, func() error { return byTLS(t, w.tcp(0), own, op).get(t) })
}

// A client that has all the connections makes room for another client, and not for a stranger.
func TestConnectionsOfOne(t *testing.T) {
	few := limits()
	few.MaxConnections = 3
	clients := newAuthority(t, "clients")
	w, own, _ := startTLS(t, few, clients)
	viewer, op := clients.client(t, leaf{cn: "viewer"}), clients.client(t, leaf{cn: "op"})
	greedy := make([]*caller, 3)
	for i := range greedy {
		greedy[i] = byTLS(t, w.tcp(0), own, viewer)
		require.NoError(t, greedy[i].get(t))
	}
	keeps := func(c *caller) bool {
		n := conns(c)
		return c.get(t) == nil && *n == 0
	}
	for range 3 * spare {
		c, err := tls.Dial("tcp", w.tcp(0), &tls.Config{RootCAs: own.pool()})
		if err == nil {
			defer c.Close()
		}
	}
	refused(t, byTLS(t, w.tcp(0), own, viewer).get(t), connect.CodeResourceExhausted, dataplanev1.Cause_CAUSE_RATE)
	for _, c := range greedy {
		require.True(t, keeps(c))
	}
	other := byTLS(t, w.tcp(0), own, op)
	require.NoError(t, other.get(t))
	w.logs.has(t, "level", "WARN", "msg", "too many connections")
	require.True(t, keeps(other))
	require.True(t, keeps(greedy[1]) && keeps(greedy[2]))
	refused(t, greedy[0].get(t), connect.CodeResourceExhausted, dataplanev1.Cause_CAUSE_RATE) // on a new one: it has had its own closed
	require.True(t, keeps(other))
}

// A flood of what is denied is not one of lines.
func TestFlood(t *testing.T) {
	w := start(t, limits(), nil, config.TCP{Address: loopback(), Insecure: true, Role: config.RoleRead})
	c := newCaller(t, &http.Transport{}, "http://"+w.tcp(0))
	for range 500 {
		require.Error(t, c.add(t, 1))
	}
	told := 0
	for _, line := range w.logs.lines() {
		if line["msg"] == "denied" {
			told++
		}
	}
	require.Less(t, told, 200)
	require.GreaterOrEqual(t, told, 50)
	time.Sleep(200 * time.Millisecond)
	require.Error(t, c.add(t, 1))
	untold := 0.0
	for _, line := range w.logs.lines() {
		n, _ := line["untold"].(float64)
		untold += n
	}
	require.EqualValues(t, 500-told, untold, "what is not told is counted")
}

// A message of the most that is allowed comes through, and a larger one does not.
func TestLargeMessage(t *testing.T) {
	w := start(t, limits(), nil)
	req := &dataplanev1.AddEndpointRequest{Endpoint: &dataplanev1.Endpoint{Mac: strings.Repeat("x", 63<<20)}}
	require.Less(t, proto.Size(req), 64<<20)
	_, err := w.byUnix(t, true, connect.WithGRPC()).AddEndpoint(t.Context(), connect.NewRequest(req))
	require.NoError(t, err)
	req.Endpoint.Mac = strings.Repeat("x", 65<<20)
	_, err = w.byUnix(t, true, connect.WithGRPC()).AddEndpoint(t.Context(), connect.NewRequest(req))
	require.Equal(t, connect.CodeResourceExhausted.String(), connect.CodeOf(err).String(), "%v", err)
}
