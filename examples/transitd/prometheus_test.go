// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	api "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1/dataplanev1connect"
	"github.com/mizar-go/mizar/examples/internal/lab"
	"github.com/mizar-go/mizar/internal/testutil"
)

// A real Prometheus scrapes two daemons under traffic: it can do all that the dashboard and the alerts ask, and every
// panel shows something.
//
//	make metrics-test
func TestPrometheus(t *testing.T) {
	programs := os.Getenv("PROMETHEUS")
	if programs == "" {
		t.Skip("$PROMETHEUS does not name a directory with prometheus and promtool: make metrics-test")
	}
	testutil.Root(t)
	testutil.Leaks(t)
	sw, err := lab.NewSwitch(false)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, sw.Close()) })
	a, b := busy(t, sw)
	p := startPrometheus(t, programs, a)

	t.Run("promtool", func(t *testing.T) {
		for _, d := range []*node{a, b} {
			metrics, err := get(d.Host, "http://"+d.Addr.String()+":9464/metrics")
			require.NoError(t, err)
			check := exec.CommandContext(t.Context(), filepath.Join(programs, "promtool"), "check", "metrics")
			check.Stdin = bytes.NewReader(metrics)
			said, err := check.CombinedOutput()
			require.NoError(t, err, string(said))
			require.Empty(t, string(said))
		}
	})
	for name, instance := range map[string]string{
		// As Grafana has it in the place of $instance.
		"all":  ".+",
		"both": `(192\\.0\\.2\\.1:9464|192\\.0\\.2\\.2:9464)`,
	} {
		for _, q := range queries(t) {
			t.Run(name+"/"+q.title, func(t *testing.T) {
				expr := strings.NewReplacer("$instance", instance, "$__rate_interval", "4s").Replace(q.Expr)
				require.NotContains(t, expr, "$")
				if strings.Contains(expr, "mizar_scrape_errors_total") { // there are none
					_, err := p.query(expr, q.Range)
					require.NoError(t, err)
					return
				}
				testutil.Eventually(t, 20*time.Second, func() error { return q.shows(p, expr) })
			})
		}
	}
	t.Run("hosts", func(t *testing.T) {
		var hosts []string
		require.NoError(t, p.ask("label/instance/values", url.Values{"match[]": {"mizar_build_info"}}, &hosts))
		require.Equal(t, []string{"192.0.2.1:9464", "192.0.2.2:9464"}, hosts)
	})
	t.Run("alerts", func(t *testing.T) {
		var rules struct {
			Groups []struct {
				Rules []struct{ Name, State, Health, LastError string }
			}
		}
		require.NoError(t, p.ask("rules", nil, &rules))
		require.Len(t, rules.Groups, 1)
		require.NotEmpty(t, rules.Groups[0].Rules)
		for _, r := range rules.Groups[0].Rules {
			require.Equal(t, "ok", r.Health, "%s: %s", r.Name, r.LastError)
			require.Equal(t, "inactive", r.State, r.Name)
		}
	})
}

// busy are two hosts with all to show that there is: packets there and back, drops, calls, failed ones and open ones.
func busy(t *testing.T, sw *lab.Switch) (a, b *node) {
	t.Helper()
	stats, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, stats.Close()) })
	const config = "limits: {endpoints: 1024, directs: 16384, paths: 16384}\nmetrics: {address: %q}"
	a = startDaemon(t, sw, "a", "192.0.2.1/24", fmt.Sprintf(config, "192.0.2.1:9464"))
	b = startDaemon(t, sw, "b", "192.0.2.2/24", fmt.Sprintf(config, "192.0.2.2:9464"))
	here, there := netip.MustParsePrefix("10.0.0.1/24"), netip.MustParsePrefix("10.0.0.2/24")
	nowhere := netip.MustParseAddr("10.0.0.9")
	var from *lab.Namespace
	for _, h := range []struct {
		*node
		addr   netip.Prefix
		remote netip.Addr
		at     *node
	}{{a, here, there.Addr(), b}, {b, there, here.Addr(), a}} {
		ns, name := workload(t)
		if from == nil {
			from = ns
		}
		_, err := h.hosts().Apply(t.Context(), connect.NewRequest(&pb.ApplyRequest{State: &pb.State{
			Peers:          []*pb.Peer{{Prefix: "192.0.2.0/24"}},
			Droplets:       []*pb.Droplet{{Interface: lab.Uplink}},
			Vpcs:           []*pb.Vpc{{Vni: 7}},
			Endpoints:      []*pb.Endpoint{{Vni: 7, Address: h.remote.String(), Host: h.at.Addr.String()}},
			LocalEndpoints: []*pb.LocalEndpoint{{Vni: 7, Addresses: []string{h.addr.String()}, Place: &pb.LocalEndpoint_Netns{Netns: name}}},
		}}))
		require.NoError(t, err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	t.Cleanup(func() {
		stop()
		all.Wait()
	})
	all.Go(func() {
		for ctx.Err() == nil {
			_, _ = from.Ping(ctx, there.Addr(), 10)
			_, _ = from.Ping(ctx, nowhere, 1) // takes a second
			_, _ = api.NewVpcServiceClient(a.http, "http://transitd").GetVpc(ctx, connect.NewRequest(&pb.GetVpcRequest{Vni: 8}))
		}
	})
	all.Go(func() {
		events, err := api.NewStatsServiceClient(a.http, "http://transitd", connect.WithGRPC()).
			WatchEvents(ctx, connect.NewRequest(&pb.WatchEventsRequest{}))
		for err == nil && events.Receive() {
		}
		if err == nil {
			_ = events.Close()
		}
	})
	return a, b
}

// query is one of a panel.
type query struct {
	title              string
	Expr, LegendFormat string
	Range              bool
}

func queries(t *testing.T) (all []query) {
	t.Helper()
	text, err := os.ReadFile("deploy/grafana.json")
	require.NoError(t, err)
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []query
		}
	}
	require.NoError(t, json.Unmarshal(text, &dashboard))
	for _, p := range dashboard.Panels {
		for _, q := range p.Targets {
			q.title = p.Title
			all = append(all, q)
		}
	}
	require.NotEmpty(t, all)
	return all
}

// shows says what a panel lacks: anything to show, or a label that its legend names.
func (q query) shows(p *prometheus, expr string) error {
	shown, err := p.query(expr, q.Range)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(shown, line.number) {
		return fmt.Errorf("nothing to show for %s: %v", expr, shown)
	}
	for _, label := range regexp.MustCompile(`{{(\w+)}}`).FindAllStringSubmatch(q.LegendFormat, -1) {
		for _, l := range shown {
			if _, ok := l.Metric[label[1]]; !ok {
				return fmt.Errorf("%s has no label %s for its legend: %v", expr, label[1], l.Metric)
			}
		}
	}
	return nil
}

// line is one in a panel: a value, or some over time.
type line struct {
	Metric map[string]string
	Value  [2]any
	Values [][2]any
}

func (l line) number() bool {
	return slices.ContainsFunc(append(l.Values, l.Value), func(v [2]any) bool {
		text, _ := v[1].(string)
		n, err := strconv.ParseFloat(text, 64)
		return err == nil && !math.IsNaN(n) && !math.IsInf(n, 0)
	})
}

// prometheus is one on a host.
type prometheus struct{ at *lab.Host }

// startPrometheus starts one that scrapes both daemons every second and judges the alerts. It ends with the test.
func startPrometheus(t *testing.T, programs string, at *node) *prometheus {
	t.Helper()
	alerts, err := filepath.Abs("deploy/alerts.yaml")
	require.NoError(t, err)
	dir := t.TempDir()
	config := fmt.Sprintf(`
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [%q]
scrape_configs: [{job_name: transitd, static_configs: [{targets: ["192.0.2.1:9464", "192.0.2.2:9464"]}]}]
`, alerts)
	file := filepath.Join(dir, "prometheus.yml")
	require.NoError(t, os.WriteFile(file, []byte(config), 0o600))
	var log bytes.Buffer
	cmd := exec.Command(filepath.Join(programs, "prometheus"), "--config.file="+file, "--storage.tsdb.path="+dir+"/data",
		"--web.listen-address=127.0.0.1:9090", "--log.level=warn")
	cmd.Stdout, cmd.Stderr = &log, &log
	require.NoError(t, at.Do(cmd.Start))
	t.Cleanup(func() {
		require.NoError(t, cmd.Process.Kill()) // it has nothing to keep
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	p := &prometheus{at: at.Host}
	testutil.Eventually(t, 30*time.Second, func() error {
		up, err := p.query("sum(up)", false)
		if err == nil && (len(up) != 1 || up[0].Value[1] != "2") {
			err = fmt.Errorf("not all are scraped: %v", up)
		}
		return err
	})
	return p
}

// query asks as a panel does: for now, or for the last seconds.
func (p *prometheus) query(expr string, over bool) ([]line, error) {
	what, with := "query", url.Values{"query": {expr}}
	if over {
		what = "query_range"
		now := time.Now()
		with.Set("start", strconv.FormatInt(now.Add(-3*time.Second).Unix(), 10))
		with.Set("end", strconv.FormatInt(now.Unix(), 10))
		with.Set("step", "1")
	}
	var data struct{ Result []line }
	err := p.ask(what, with, &data)
	return data.Result, err
}

// ask calls Prometheus's API.
func (p *prometheus) ask(what string, with url.Values, data any) error {
	body, err := get(p.at, "http://127.0.0.1:9090/api/v1/"+what+"?"+with.Encode())
	if err != nil {
		return err
	}
	var answer struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("%w: %s", err, body)
	}
	if answer.Status != "success" {
		return errors.New(answer.Error)
	}
	return json.Unmarshal(answer.Data, data)
}

// get reads a page from within a host.
func get(at *lab.Host, page string) ([]byte, error) {
	c := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, addr string) (c net.Conn, err error) {
			err = at.Do(func() (err error) {
				c, err = new(net.Dialer).DialContext(ctx, network, addr)
				return err
			})
			return c, err
		},
	}}
	answer, err := c.Get(page)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	return io.ReadAll(answer.Body)
}
