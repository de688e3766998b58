// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/internal/testutil"
)

// slow is a collector that takes as long as it is let.
type slow struct {
	desc  *prometheus.Desc
	begun chan struct{}
	more  chan struct{}
	times atomic.Int64
}

func newSlow() *slow {
	return &slow{desc: prometheus.NewDesc("slow", "h", nil, nil), begun: make(chan struct{}, 100), more: make(chan struct{})}
}

func (s *slow) Describe(to chan<- *prometheus.Desc) { to <- s.desc }
func (s *slow) Collect(to chan<- prometheus.Metric) {
	s.times.Add(1)
	s.begun <- struct{}{}
	<-s.more
	to <- prometheus.MustNewConstMetric(s.desc, prometheus.GaugeValue, 1)
}

// broken is a collector that fails.
type broken struct{ desc *prometheus.Desc }

func (b broken) Describe(to chan<- *prometheus.Desc) { to <- b.desc }
func (b broken) Collect(to chan<- prometheus.Metric) {
	to <- prometheus.NewInvalidMetric(b.desc, errors.New("cut"))
}

// bare are metrics of no data-plane.
func bare(timeout time.Duration, healthy func(context.Context) bool) *Metrics {
	m := &Metrics{config: Config{Timeout: timeout, Healthy: healthy}.withDefaults(), registry: prometheus.NewRegistry(), rpc: newRPC()}
	m.errors = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "mizar_scrape_errors_total", Help: "h"}, []string{"part"})
	m.registry.MustRegister(m.errors)
	return m
}

// serve serves until the test, or what it returns, ends it.
func serve(t *testing.T, m *Metrics) (url string, client *http.Client, end func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.ServeOn(ctx, l) }()
	client = &http.Client{Transport: &http.Transport{}, Timeout: patience}
	end = sync.OnceFunc(func() {
		client.CloseIdleConnections()
		cancel()
		require.NoError(t, <-ended)
		_, err := net.Dial("tcp", l.Addr().String())
		require.Error(t, err)
	})
	t.Cleanup(end)
	return "http://" + l.Addr().String(), client, end
}

func get(t testing.TB, client *http.Client, url string) (status int, body string) {
	t.Helper()
	r, err := client.Get(url)
	require.NoError(t, err)
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return r.StatusCode, string(b)
}

func TestServe(t *testing.T) {
	testutil.Leaks(t)
	var healthy atomic.Bool
	m := bare(0, func(context.Context) bool { return healthy.Load() })
	m.Registerer().MustRegister(broken{prometheus.NewDesc("broken", "h", nil, nil)})
	m.errors.WithLabelValues("registry")
	url, client, end := serve(t, m)
	status, body := get(t, client, url+"/healthz")
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Equal(t, "unhealthy\n", body)
	healthy.Store(true)
	status, body = get(t, client, url+"/healthz")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "ok\n", body)
	// What fails is counted by the next, and the rest is there.
	status, body = get(t, client, url+"/metrics")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, `mizar_scrape_errors_total{part="registry"} 0`)
	status, body = get(t, client, url+"/metrics")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, `mizar_scrape_errors_total{part="registry"} 1`)
	status, _ = get(t, client, url+"/")
	require.Equal(t, http.StatusNotFound, status)
	r, err := client.Post(url+"/metrics", "text/plain", strings.NewReader("x"))
	require.NoError(t, err)
	require.NoError(t, r.Body.Close())
	require.Equal(t, http.StatusMethodNotAllowed, r.StatusCode)
	end()
	require.Error(t, m.Serve(t.Context(), "127.0.0.1:no"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_ = m.Serve(ctx, "127.0.0.1:0") // whether it came to listen or not: it has ended
}

// Many scrapes at once share one reading, more than a few are refused, and one that takes too long is given up.
func TestScrapesAtOnce(t *testing.T) {
	testutil.Leaks(t)
	m := bare(0, nil)
	s := newSlow()
	m.Registerer().MustRegister(s)
	url, client, _ := serve(t, m)
	const many = 3 * maxScrapes
	statuses := make(chan int, many)
	for range many {
		go func() {
			r, err := client.Get(url + "/metrics")
			if err != nil {
				statuses <- 0
				return
			}
			_ = r.Body.Close()
			statuses <- r.StatusCode
		}()
	}
	<-s.begun
	for range many - maxScrapes {
		require.Equal(t, http.StatusServiceUnavailable, <-statuses)
	}
	require.EqualValues(t, 1, s.times.Load())
	status, _ := get(t, client, url+"/healthz")
	require.Equal(t, http.StatusOK, status)
	close(s.more)
	for range maxScrapes {
		require.Equal(t, http.StatusOK, <-statuses)
	}
	require.LessOrEqual(t, s.times.Load(), int64(2))
}

func TestScrapeTakesTooLong(t *testing.T) {
	testutil.Leaks(t)
	m := bare(time.Nanosecond, nil)
	s := newSlow()
	m.Registerer().MustRegister(s)
	url, client, _ := serve(t, m)
	began := time.Now()
	status, _ := get(t, client, url+"/metrics")
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Less(t, time.Since(began), 2*slack)
	close(s.more)
}

// Who connects and says nothing, or begins and does not go on, is cut off.
func TestSlowClient(t *testing.T) {
	testutil.Leaks(t)
	url, client, end := serve(t, bare(0, nil))
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte("GET /metrics HTTP/1.1\r\nHost: x\r\n"))
	require.NoError(t, err)
	status, _ := get(t, client, url+"/metrics")
	require.Equal(t, http.StatusOK, status)
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(2*headerTimeout)))
	began := time.Now()
	_, err = io.ReadAll(conn)
	require.NoError(t, err, "it is closed by the server")
	require.Greater(t, time.Since(began), headerTimeout/2)
	end()
}
