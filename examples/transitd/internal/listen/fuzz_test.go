// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1/dataplanev1connect"
	"github.com/mizar-go/mizar/examples/transitd/internal/config"
	"github.com/stretchr/testify/require"
)

// everything is all of the API, with nothing behind it.
func everything(options []connect.HandlerOption) http.Handler {
	mux := http.NewServeMux()
	mux.Handle(dataplanev1connect.NewDropletServiceHandler(dataplanev1connect.UnimplementedDropletServiceHandler{}, options...))
	mux.Handle(dataplanev1connect.NewEndpointServiceHandler(dataplanev1connect.UnimplementedEndpointServiceHandler{}, options...))
	mux.Handle(dataplanev1connect.NewFunctionServiceHandler(dataplanev1connect.UnimplementedFunctionServiceHandler{}, options...))
	mux.Handle(dataplanev1connect.NewHostServiceHandler(dataplanev1connect.UnimplementedHostServiceHandler{}, options...))
	mux.Handle(dataplanev1connect.NewNetworkServiceHandler(dataplanev1connect.UnimplementedNetworkServiceHandler{}, options...))
	mux.Handle(dataplanev1connect.NewPeerServiceHandler(dataplanev1connect.UnimplementedPeerServiceHandler{}, options...))
	mux.Handle(dataplanev1connect.NewPlumbingServiceHandler(dataplanev1connect.UnimplementedPlumbingServiceHandler{}, options...))
	mux.Handle(dataplanev1connect.NewStageServiceHandler(dataplanev1connect.UnimplementedStageServiceHandler{}, options...))
	mux.Handle(dataplanev1connect.NewStatsServiceHandler(dataplanev1connect.UnimplementedStatsServiceHandler{}, options...))
	mux.Handle(dataplanev1connect.NewVpcServiceHandler(dataplanev1connect.UnimplementedVpcServiceHandler{}, options...))
	NewHealth().Mount(mux, options...)
	return mux
}

// FuzzRPC sends what no client would, to every procedure. The server answers, and nothing in it panics.
func FuzzRPC(f *testing.F) {
	w := start(f, config.RPC{MaxMessageBytes: 1 << 16, CallsPerSecond: 1 << 20, Burst: 1 << 20, MaxStreams: 100, MaxConnections: 100},
		func(s *Server) { s.handler = everything(Options(limits())) })
	var procedures []string
	for p := range w.methods {
		procedures = append(procedures, p)
	}
	slices.Sort(procedures)
	types := []string{"application/json", "application/proto", "application/connect+json", "application/connect+proto",
		"application/grpc", "application/grpc+json", "application/grpc-web", "application/grpc-web-text", "text/plain", ""}
	for i := range procedures {
		f.Add(uint8(i), uint8(i), "", "", []byte(`{}`), i%2 == 0)
		f.Add(uint8(i), uint8(4), "gzip", "1S", []byte{0, 0, 0, 0, 1, 8}, true)
	}
	f.Add(uint8(0), uint8(4), "gzip", "99999999H", []byte{1, 0, 0, 0, 2, 0x1f, 0x8b}, true)
	f.Add(uint8(0), uint8(3), "br", "-1", []byte{2, 0xff, 0xff, 0xff, 0xff}, true)
	f.Add(uint8(0), uint8(0), "", "", []byte(`{"endpoint":{"vni":"-1","cookie":1e999}}`), false)
	clients := map[bool]*caller{false: w.byUnix(f, false), true: w.byUnix(f, true)}
	f.Fuzz(func(t *testing.T, procedure, kind uint8, encoding, timeout string, body []byte, http2 bool) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		c := clients[http2]
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+procedures[int(procedure)%len(procedures)], bytes.NewReader(body))
		require.NoError(t, err)
		r.Header.Set("Content-Type", types[int(kind)%len(types)])
		for _, name := range []string{"Content-Encoding", "Grpc-Encoding", "Connect-Content-Encoding"} {
			r.Header.Set(name, encoding)
		}
		r.Header.Set("Grpc-Timeout", timeout)
		r.Header.Set("Connect-Timeout-Ms", timeout)
		res, err := c.http.Do(r)
		if err == nil {
			_, err = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
		}
		if ctx.Err() != nil {
			require.NoError(t, err, "no answer")
		}
		for _, line := range w.logs.lines() {
			require.NotEqual(t, "ERROR", line["level"], "%v", line)
		}
		w.logs.clear()
		countEnded(w, "")
	})
}
