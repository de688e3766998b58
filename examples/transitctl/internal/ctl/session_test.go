// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	v1 "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// Embedded: who runs the tests may not be let into this directory.
//
//go:embed testdata
var testdata embed.FS

// Sessions read like a terminal: a command behind $, what it printed, what it complained of behind !, and its exit
// code unless it is 0. With this in the environment they are written anew: look at what changed then.
const update = "TRANSITCTL_UPDATE_SESSIONS"

// What a session can use.
var sessionFiles = map[string]string{
	"firewall.o": "\x7fELF",
	"host.yaml": `vpcs:
- {vni: 7, dividers: [192.0.2.1]}
functions:
- name: firewall
  objectFile: firewall.o
---
vpcs: [{vni: 8}]
localEndpoints:
- vni: 7
  addresses: [10.0.0.1/24]
  bridge: {bridge: br0}
`,
	"empty.yaml":     "# nothing\n",
	"field.yaml":     "vpcs:\n- vni: 7\n  no_direct_pat: true\n",
	"number.yaml":    "vpcs:\n- vni: seven\n",
	"list.yaml":      "vpcs: {vni: 7}\n",
	"syntax.yaml":    "vpcs:\n- vni: 7\n  - b\n",
	"twice.yaml":     "vpcs:\n- vni: 7\n  vni: 8\n",
	"both.yaml":      "vpcs:\n- vni: 7\n  noDirectPath: true\n  no_direct_path: false\n",
	"long.csv":       "7,10.0.0.2,192.0.2.2,,5,6\n",
	"place.yaml":     "localEndpoints:\n- vni: 7\n  netns: web\n  adopt: tap0\n",
	"object.yaml":    "functions:\n- name: f\n  objectFile: nothing.o\n",
	"enum.json":      "{\n\t\"droplets\": [\n\t\t{\"interface\": \"eth0\", \"mode\": \"fast\"}\n\t]\n}\n",
	"range.yaml":     "vpcs:\n- vni: 4294967296\n",
	"endpoints.csv":  "# two\naddress,vni,host\n10.0.0.2,7,192.0.2.2\n10.0.0.3,7,192.0.2.3\n",
	"endpoints.yaml": "endpoints:\n- {vni: 7, address: 10.0.0.2, host: 192.0.2.2}\n",
	"bad.csv":        "7,10.0.0.2,192.0.2.2\nx,10.0.0.3,192.0.2.3\n",
	"bad.jsonl":      `{"vni": 7, "address": "10.0.0.2", "host": "192.0.2.2"}` + "\n" + `{"vnj": 7}` + "\n",
	"nohost.jsonl":   `{"vni": 7, "address": "10.0.0.2", "host": "192.0.2.2"}` + "\n" + `{"vni": 7, "address": "10.0.0.3"}` + "\n",
}

func TestSessions(t *testing.T) {
	sessions, err := testdata.ReadDir("testdata")
	require.NoError(t, err)
	require.NotEmpty(t, sessions)
	here, err := os.Getwd()
	require.NoError(t, err)
	for _, s := range sessions {
		t.Run(strings.TrimSuffix(s.Name(), ".session"), func(t *testing.T) {
			text, err := testdata.ReadFile("testdata/" + s.Name())
			require.NoError(t, err)
			b := newBench(t)
			for name, text := range sessionFiles {
				b.file(name, text)
			}
			b.plan = plan()
			is := b.session(string(text))
			if os.Getenv(update) != "" {
				require.NoError(t, os.WriteFile(filepath.Join(here, "testdata", s.Name()), []byte(is), 0o644))
				return
			}
			require.Equal(t, string(text), is)
		})
	}
}

// session runs the commands of one, and has it as it is now.
func (b *bench) session(text string) string {
	var is strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "## ") {
			fmt.Fprint(&is, line)
		}
		command, ok := strings.CutPrefix(line, "$ ")
		if !ok {
			continue
		}
		fmt.Fprint(&is, line)
		args, in := strings.Fields(command), ""
		if i := slices.Index(args, "<"); i >= 0 {
			in = sessionFiles[args[i+1]]
			args = args[:i]
		}
		code, out, err := b.runWith(b.Context(), in, args...)
		fmt.Fprint(&is, out)
		for line := range strings.Lines(err) {
			fmt.Fprint(&is, "! ", line)
		}
		if code != 0 {
			fmt.Fprintf(&is, "[exit %d]\n", code)
		}
	}
	return strings.ReplaceAll(is.String(), b.dir, "DIR")
}

func plan() *v1.ApplyResponse {
	return &v1.ApplyResponse{
		Changed: true,
		Steps: []*v1.PlanStep{
			{Action: v1.Action_ACTION_ADD, Kind: v1.Kind_KIND_VPC, Key: "8"},
			{Action: v1.Action_ACTION_UPDATE, Kind: v1.Kind_KIND_VPC, Key: "7", Detail: "dividers: none, 192.0.2.1"},
			{Action: v1.Action_ACTION_REPLACE, Kind: v1.Kind_KIND_LOCAL_ENDPOINT, Key: "7/10.0.0.1", Detail: "mtu: 1426, 1400"},
			{Action: v1.Action_ACTION_REMOVE, Kind: v1.Kind_KIND_PEER, Key: "192.0.2.0/24"},
		},
		Summary: []*v1.PlanSummary{
			{Kind: v1.Kind_KIND_VPC, Add: 1, Update: 1, Unchanged: 3, Foreign: 1},
			{Kind: v1.Kind_KIND_LOCAL_ENDPOINT, Replace: 1},
			{Kind: v1.Kind_KIND_PEER, Remove: 1},
			{Kind: v1.Kind_KIND_ENDPOINT, Add: 2000, Unchanged: 40},
		},
		Etag: "s2",
	}
}
