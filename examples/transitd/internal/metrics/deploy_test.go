// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"context"
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	"golang.org/x/sys/unix"

	mizartest "github.com/mizar-go/mizar/internal/testutil"
)

const (
	dashboardFile = "../../deploy/grafana.json"
	alertsFile    = "../../deploy/alerts.yaml"
)

// dashboard is what there is to check of one.
type dashboard struct {
	SchemaVersion int
	Panels        []struct {
		ID          int
		Type, Title string
		GridPos     struct{ X, Y, W, H int }
		Datasource  struct{ UID string }
		Targets     []struct {
			Expr       string
			Datasource struct{ UID string }
		}
	}
	Templating struct {
		List []struct {
			Name, Type, Definition string
		}
	}
}

// names are the metrics in a PromQL expression: what is left of it without labels, ranges, strings, functions and
// operators.
func names(expr string) (all []string) {
	for _, cut := range []string{
		`"[^"]*"`, `\{[^}]*\}`, `\[[^\]]*\]`, // strings, matchers, ranges
		`\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)`,
		`\b[a-z_]+\s*\(`, `\boffset\s+\w+`, `\b(and|or|unless|bool)\b`,
	} {
		expr = regexp.MustCompile(cut).ReplaceAllString(expr, " ")
	}
	return regexp.MustCompile(`[a-zA-Z_:][a-zA-Z0-9_:]*`).FindAllString(expr, -1)
}

func TestNamesOfMetrics(t *testing.T) {
	for expr, want := range map[string][]string{
		`topk(10, sum by (vni) (rate(a_total{x=~"$y",z="}"}[5m])) * 8) > 0`:        {"a_total"},
		`a{b="c"} / on (instance) group_left (x) d and up == 0`:                    {"a", "d", "up"},
		`histogram_quantile(0.99, sum by (le) (rate(h_bucket[$__rate_interval])))`: {"h_bucket"},
		`sum(rate(a[5m] offset 1h)) without (x) unless absent(b)`:                  {"a", "b"},
		`sum   by(a, b)(c)`: {"c"},
	} {
		require.Equal(t, want, names(expr), expr)
	}
}

// everything is a scrape that has all there is to show.
func everything(t *testing.T) series {
	t.Helper()
	a, b := newHosts(t)
	stats, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
	require.NoError(t, err)
	defer stats.Close()
	web := a.join(t, b, 1, 2)
	a.workload(t, vni, 3, "mznear")
	requirePing(t, web, "10.0.0.3", 3)
	m := newMetrics(t, Config{Dataplane: a.dp, Fill: a.meter(t), Healthy: func(context.Context) bool { return true }})
	_ = m.rpc.measure("p", "unary", func() error { return connect.NewError(connect.CodeNotFound, nil) })
	m.rpc.messages.WithLabelValues("p", "receive").Inc()
	return scrape(t, m)
}

// shownNames are the names that queries may use.
func shownNames(of series) map[string]bool {
	all := make(map[string]bool)
	for key := range of {
		name, _, _ := strings.Cut(key, "{")
		if strings.HasSuffix(name, "_duration_seconds") && strings.HasPrefix(name, "mizar_rpc") {
			for _, suffix := range []string{"_bucket", "_count", "_sum"} {
				all[name+suffix] = true
			}
			continue
		}
		all[name] = true
	}
	return all
}

// The dashboard and the alerts ask for what is there, and the dashboard shows all that is.
func TestDeploy(t *testing.T) {
	mizartest.Leaks(t)
	known := shownNames(everything(t))

	text, err := os.ReadFile(dashboardFile)
	require.NoError(t, err)
	var d dashboard
	require.NoError(t, json.Unmarshal(text, &d))
	require.GreaterOrEqual(t, d.SchemaVersion, 39)
	variables := make(map[string]string)
	for _, v := range d.Templating.List {
		variables[v.Name] = v.Type
		if v.Type == "query" {
			require.Equal(t, "label_values(mizar_build_info, instance)", v.Definition)
		}
	}
	require.Equal(t, map[string]string{"datasource": "datasource", "instance": "query"}, variables)
	used := map[string]bool{"mizar_rpc_duration_seconds_sum": true} // Grafana's users have the quantiles
	ids := make(map[int]bool)
	taken := make(map[[2]int]string)
	for _, p := range d.Panels {
		require.False(t, ids[p.ID], "two panels %d", p.ID)
		ids[p.ID] = true
		require.LessOrEqual(t, p.GridPos.X+p.GridPos.W, 24, p.Title)
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				require.Empty(t, taken[at], "%s is on %s", p.Title, taken[at])
				taken[at] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		require.Equal(t, "${datasource}", p.Datasource.UID, p.Title)
		require.NotEmpty(t, p.Targets, p.Title)
		for _, target := range p.Targets {
			require.Equal(t, "${datasource}", target.Datasource.UID, p.Title)
			all := names(target.Expr)
			require.NotEmpty(t, all, p.Title)
			require.Equal(t, len(all), strings.Count(target.Expr, `instance=~"$instance"`), "%s: %s", p.Title, target.Expr)
			for _, name := range all {
				require.True(t, known[name], "%s: there is no %s", p.Title, name)
				used[name] = true
			}
		}
	}
	for name := range known {
		require.True(t, used[name] || !strings.HasPrefix(name, "mizar_"), "nothing shows %s", name)
	}

	text, err = os.ReadFile(alertsFile)
	require.NoError(t, err)
	var alerts struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	require.NoError(t, yaml.Unmarshal(text, &alerts))
	require.Len(t, alerts.Groups, 1)
	require.NotEmpty(t, alerts.Groups[0].Rules)
	for _, rule := range alerts.Groups[0].Rules {
		require.NotEmpty(t, rule.Alert)
		require.NotEmpty(t, rule.For, rule.Alert)
		require.Contains(t, []string{"warning", "critical"}, rule.Labels["severity"], rule.Alert)
		require.NotEmpty(t, rule.Annotations["summary"], rule.Alert)
		all := names(rule.Expr)
		require.NotEmpty(t, all, rule.Alert)
		for _, name := range all {
			require.True(t, known[name] || slices.Contains([]string{"up"}, name), "%s: there is no %s", rule.Alert, name)
		}
	}
}
