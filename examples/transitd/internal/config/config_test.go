// SPDX-License-Identifier: Apache-2.0

package config

import (
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mizar-go/mizar/bpf"
	"github.com/stretchr/testify/require"
)

func load(t testing.TB, text string) (Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "f.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return Load(path)
}

const sample = "../../deploy/transitd.yaml"

// The sample is a good one, and with all that is behind a # it is still.
func TestSample(t *testing.T) {
	c, err := Load(sample)
	require.NoError(t, err)
	require.Equal(t, netip.MustParseAddrPort("[::]:9463"), c.Listen.TCP[0].Address)
	require.Len(t, c.Listen.TCP[0].Roles, 3)
	require.Equal(t, Mapping{"cn:monitoring", RoleRead}, c.Listen.TCP[0].Roles[2])

	text, err := os.ReadFile(sample)
	require.NoError(t, err)
	// A field follows the # at once, or after two spaces, and prose after one.
	all, err := load(t, regexp.MustCompile(`(?m)^( *)#([a-z-]|  )`).ReplaceAllString(string(text), "$1$2"))
	require.NoError(t, err)
	require.Len(t, all.Listen.TCP, 2)
	require.Equal(t, "transit", all.Listen.Unix.Group)
	all.Listen, c.Listen = Listen{}, Listen{}
	require.Equal(t, c, all, "what is behind # is the default")
	want := Default()
	want.Listen, want.RPC.Burst = Listen{}, want.RPC.CallsPerSecond
	require.Equal(t, want, all)
}

func TestDefault(t *testing.T) {
	t.Setenv("STATE_DIRECTORY", "")
	for _, text := range []string{"", "# nothing\n", "---\n", "listen:\n", "listen: {tcp: }\n"} {
		c, err := load(t, text)
		require.NoError(t, err)
		require.Equal(t, "default", c.Name)
		require.Equal(t, "/run/transitd/transitd.sock", c.Listen.Unix.Path)
		require.Empty(t, c.Listen.TCP)
		require.Equal(t, RPC{64 << 20, 1000, 1000, 100, 256}, c.RPC)
		require.Equal(t, "/var/lib/transitd", c.StateDir)
	}
	t.Setenv("STATE_DIRECTORY", "/var/lib/blue:/var/lib/other")
	require.Equal(t, "/var/lib/blue", Default().StateDir)
	c, err := load(t, "stateDir: /elsewhere\n")
	require.NoError(t, err)
	require.Equal(t, "/elsewhere", c.StateDir)
}

// whole says everything.
const whole = `name: blue
bpffs: /mnt/bpf
limits: {endpoints: 1000, vpcs: 10, agents: 20, allowed: 30, directs: 40, paths: 50, networks: 60, sets: 70, peers: 80, traffic: 90}
port: 6082
directAge: 10s
pathAge: 5m
eventsPerSecond: -1
stateDir: /var/lib/blue
drain: 3s
listen:
  unix: {path: /run/blue/s, group: "12"}
  tcp:
    - address: 192.0.2.1:1
      cert: /c
      key: /k
      clientCA: /ca
      roles:
        - {identity: "uri:a", role: write}
        - {identity: "cn:a", role: read}
    - {address: "[::1]:2", insecure: true}
    - {address: 127.9.9.9:3, insecure: true, role: write}
rpc: {maxMessageBytes: 1GiB, callsPerSecond: 10, burst: 20, maxStreams: 30, maxConnections: 40}
metrics: {address: ""}
ovs: {socket: /o}
log: {level: debug, format: json}
`

func TestWhole(t *testing.T) {
	c, err := load(t, whole)
	require.NoError(t, err)
	require.Equal(t, Config{
		Name: "blue", BPFFS: "/mnt/bpf",
		Limits: bpf.Limits{Endpoints: 1000, Networks: 60, VPCs: 10, Sets: 70, Peers: 80, Agents: 20, Allowed: 30, Directs: 40, Paths: 50, Traffic: 90},
		Port:   6082, DirectAge: 10 * time.Second, PathAge: 5 * time.Minute, EventsPerSecond: -1,
		StateDir: "/var/lib/blue", Drain: 3 * time.Second,
		Listen: Listen{
			Unix: Unix{"/run/blue/s", "12"},
			TCP: []TCP{
				{Address: netip.MustParseAddrPort("192.0.2.1:1"), Cert: "/c", Key: "/k", ClientCA: "/ca",
					Roles: []Mapping{{"uri:a", RoleWrite}, {"cn:a", RoleRead}}},
				{Address: netip.MustParseAddrPort("[::1]:2"), Insecure: true, Role: RoleRead},
				{Address: netip.MustParseAddrPort("127.9.9.9:3"), Insecure: true, Role: RoleWrite},
			},
		},
		RPC: RPC{1 << 30, 10, 20, 30, 40},
		OVS: OVS{"/o"}, Log: Log{slog.LevelDebug, "json"},
	}, c)
}

// Each mistake is told with its line and its field.
func TestMistakes(t *testing.T) {
	for _, m := range []struct {
		name, old, new string
		want           []string // line: field: reason
	}{
		{"unknown", "port:", "prt:", []string{"4: prt: not known; there are name, bpffs"}},
		{"unknown deep down", "group:", "grp:", []string{"11: listen.unix.grp: not known; there are path, group"}},
		{"unknown in a list", "clientCA:", "ca:", []string{"16: listen.tcp[0].ca: not known"}},
		{"twice", "port: 6082", "name: x", []string{"4: name: is there twice, first on line 1"}},
		{"name", "name: blue", "name: a/b", []string{`1: name: "a/b" has not 1 to 32`}},
		{"relative", "/mnt/bpf", "mnt", []string{`2: bpffs: "mnt" is not an absolute path`}},
		{"number", "port: 6082", "port: 65536", []string{`4: port: "65536" is no number from 0 to 65535`}},
		{"limit", "vpcs: 10", "vpcs: -1", []string{`3: limits.vpcs: "-1" is no number from 0 to 4294967295`}},
		{"unknown limit", "vpcs: 10", "VPCs: 1", []string{`3: limits.VPCs: not known; there are endpoints, networks, vpcs`}},
		{"duration", "10s", "10", []string{`5: directAge: "10" is no duration such as`}},
		{"negative duration", "10s", "-10s", []string{"5: directAge: -10s is not from 0s"}},
		{"events", "-1", "many", []string{`7: eventsPerSecond: "many" is no number`}},
		{"mapping", "{path: /run/blue/s, group: \"12\"}", "/run/s", []string{"11: listen.unix: not a mapping"}},
		{"list", "  tcp:\n", "  tcp: {}\n  x:\n", []string{"12: listen.tcp: not a list", "13: listen.x: not known"}},
		{"scalar", "name: blue", "name: [blue]", []string{"1: name: not a single value"}},
		{"alias", "name: blue", "name: &n blue\nbpffs: *n", []string{"2: bpffs: an alias", "3: bpffs: is there twice"}},
		{"long path", "/run/blue/s", "/" + strings.Repeat("x", 90), []string{"11: listen.unix.path: longer than 90"}},
		{"address", "192.0.2.1:1", "localhost:1", []string{"13: listen.tcp[0].address: "}},
		{"no port", "192.0.2.1:1", "192.0.2.1", []string{"13: listen.tcp[0].address: "}},
		{"port 0", "192.0.2.1:1", "192.0.2.1:0", []string{"13: listen.tcp[0].address: no port"}},
		{"address missing", "address: 192.0.2.1:1\n      cert", "cert", []string{"13: listen.tcp[0].address: missing"}},
		{"address twice", "192.0.2.1:1", `"[::1]:2"`, []string{"20: listen.tcp[1].address: [::1]:2 is listen.tcp[0].address already"}},
		{"no certificate", "      cert: /c\n", "", []string{"13: listen.tcp[0].cert: missing"}},
		{"roles missing", "      roles:\n        - {identity: \"uri:a\", role: write}\n        - {identity: \"cn:a\", role: read}\n", "",
			[]string{"13: listen.tcp[0].roles: nobody is in it"}},
		{"identity without kind", "cn:a", "a", []string{`19: listen.tcp[0].roles[1].identity: "a" is not uri:NAME`}},
		{"identity of another kind", "cn:a", "ip:192.0.2.1", []string{`19: listen.tcp[0].roles[1].identity: "ip:`}},
		{"identity empty", "cn:a", "cn:", []string{`19: listen.tcp[0].roles[1].identity`}},
		{"identity twice", "cn:a", "uri:a", []string{`19: listen.tcp[0].roles[1].identity: "uri:a" is there twice`}},
		{"role", "role: read", "role: admin", []string{`19: listen.tcp[0].roles[1].role: "admin" is neither read nor write`}},
		{"role missing", ", role: read", "", []string{`19: listen.tcp[0].roles[1].role: missing`}},
		{"role with TLS", "cert: /c", "cert: /c\n      role: write", []string{"15: listen.tcp[0].role: is for insecure"}},
		{"insecure to others", `"[::1]:2"`, "0.0.0.0:2", []string{"20: listen.tcp[1].insecure: 0.0.0.0 is no loopback address"}},
		{"insecure to all", `"[::1]:2"`, `"[::]:2"`, []string{"20: listen.tcp[1].insecure: :: is no loopback address"}},
		{"insecure by name", `"[::1]:2"`, "localhost:2", []string{"20: listen.tcp[1].address: "}},
		{"insecure with roles", "insecure: true}", "insecure: true, cert: /c, roles: [{identity: \"cn:a\", role: read}]}",
			[]string{"20: listen.tcp[1].cert: has no meaning with insecure", "20: listen.tcp[1].roles: has no meaning"}},
		{"insecure perhaps", "insecure: true}", "insecure: yes}", []string{`20: listen.tcp[1].insecure: "yes" is neither true nor false`}},
		{"size", "1GiB", "1TB", []string{`22: rpc.maxMessageBytes: "1TB" is no size`}},
		{"size too large", "1GiB", "2GiB", []string{`22: rpc.maxMessageBytes: 2147483648 is not from 1024`}},
		{"no calls", "callsPerSecond: 10", "callsPerSecond: 0", []string{"22: rpc.callsPerSecond: 0 is not from 1"}},
		{"no streams", "maxStreams: 30", "maxStreams: 0", []string{"22: rpc.maxStreams: 0 is not from 1"}},
		{"metrics", `""`, `":9464"`, []string{"23: metrics.address: "}},
		{"level", "level: debug", "level: loud", []string{"25: log.level: "}},
		{"format", "format: json", "format: xml", []string{`25: log.format: "xml" is neither`}},
		{"syntax", "name: blue", "name: [", []string{"did not find expected"}},
		{"second document", "port: 6082", "---\nport: 1", []string{"line 4: a second document"}},
		{"no mapping", whole, "- a\n", []string{"1: the file: not a mapping"}},
	} {
		t.Run(m.name, func(t *testing.T) {
			require.Contains(t, whole, m.old)
			_, err := load(t, strings.Replace(whole, m.old, m.new, 1))
			require.Error(t, err)
			lines := strings.Split(err.Error(), "\n")
			require.Len(t, lines, len(m.want), "%v", err)
			for i, want := range m.want {
				require.Contains(t, lines[i], want)
				require.Contains(t, lines[i], "f.yaml:")
			}
		})
	}
}

func TestLoadFails(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "nothing"))
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = load(t, strings.Repeat("# long\n", 200000))
	require.ErrorContains(t, err, "more than")
}

// Whatever the file, an error or a configuration, and no panic.
func FuzzLoad(f *testing.F) {
	f.Add(whole)
	f.Add("a: &a [*a]\n")
	f.Add("<<: {name: x}\n")
	f.Add("? [a]\n: b\n")
	f.Fuzz(func(_ *testing.T, text string) { _, _ = parse("f", []byte(text)) })
}
