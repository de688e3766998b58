// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestConfig(t *testing.T) {
	b := newBench(t)
	path := filepath.Join(b.dir, "new", "config.yaml")
	t.Setenv("TRANSITCTL_CONFIG", path)
	require.Equal(t, "# "+path+"\ncontexts: []\n", b.ok("config view"))
	require.Equal(t, "{\n  \"contexts\": []\n}\n", b.ok("config view -o json"))
	b.fails(exitUsage, "config set-context here", "say where the daemon is with --host")

	// The first is used at once; another is not.
	require.Equal(t, "context here is set\n", b.ok("config set-context here --host unix://"+b.socket))
	b.ok("config set-context lab --host https://lab.example:7443 --cert me.crt --key me.key --ca ca.crt --server-name lab")
	require.Equal(t, "NAME HOST CERT CA | * here unix://"+b.socket+" - - | lab https://lab.example:7443 "+b.dir+"/me.crt "+b.dir+"/ca.crt |",
		squeeze(b.ok("config get-contexts")))
	require.Equal(t, `# `+path+`
current-context: here
contexts:
  - name: here
    host: unix://`+b.socket+`
  - name: lab
    host: https://lab.example:7443
    cert: `+b.dir+`/me.crt
    key: `+b.dir+`/me.key
    ca: `+b.dir+`/ca.crt
    server-name: lab
`, b.ok("config view"))
	require.Equal(t, strings.TrimPrefix(b.ok("config view"), "# "+path+"\n"), b.ok("config get-contexts -o yaml"))
	var all config
	require.NoError(t, json.Unmarshal([]byte(b.ok("config view -o json")), &all))
	require.Equal(t, "here", all.Current)
	require.Equal(t, b.dir+"/me.crt", all.All[1].Cert)
	require.NotContains(t, b.ok("config get-contexts --no-headers"), "NAME")
	require.Equal(t, "here\nlab\n", b.ok("config get-contexts -o name"))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	require.Contains(t, b.ok("get vpcs -o json"), "vpcs")

	// Changing one changes what is given only, and nothing if it makes no sense.
	b.ok("config set-context lab --server-name other")
	b.fails(exitUsage, "config set-context lab --host http://lab.example", "loopback only")
	b.fails(exitUsage, "config set-context new --host https://lab.example", "--cert")
	cfg, err := readConfig()
	require.NoError(t, err)
	require.Equal(t, &target{
		Host: "https://lab.example:7443", Cert: b.dir + "/me.crt", Key: b.dir + "/me.key", CA: b.dir + "/ca.crt", ServerName: "other",
	}, &cfg.find("lab").target)
	require.Nil(t, cfg.find("new"))

	// --context means another for once; use-context from now on.
	b.fails(exitError, "get vpcs --context lab", "read the client's certificate")
	b.ok("config use-context lab")
	b.fails(exitError, "get vpcs", "read the client's certificate")
	require.Contains(t, b.ok("get vpcs -o json --context here"), "vpcs")
	require.Contains(t, b.ok("get vpcs -o json --host unix://"+b.socket), "vpcs")

	// One that is used and deleted leaves none: this host's is meant again.
	require.Contains(t, b.ok("config delete-context lab"), "context lab is deleted; it was in use: ")
	b.fails(exitUsage, "config delete-context lab", "no context")
	c := &cli{}
	to, err := c.target()
	require.NoError(t, err)
	require.Equal(t, target{Host: defaultHost}, to)
	left, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, left, 1)
}

// squeeze has a table in a line, without what aligns it.
func squeeze(text string) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(text, "\n", " | ")), " ")
}

// A file with a mistake says where it is, and is not written over.
func TestConfigMistakes(t *testing.T) {
	b := newBench(t)
	for text, want := range map[string]string{
		"contexts:\n- name: a\n  hots: b\n": "config.yaml:3: contexts[0].hots: no such field: there are name, host, ",
		"context: a\n":                      "config.yaml:1: context: no such field",
		"contexts:\n- a: [\n":               "config.yaml:",
		"- a\n":                             "config.yaml:1: the file: not a mapping",
		"contexts: a\n":                     "config.yaml: ",
		"current-context: a\n":              `there is no context "a"`,
	} {
		b.file("config.yaml", text)
		b.fails(exitUsage, "get vpcs", want)
		if text != "current-context: a\n" {
			b.fails(exitUsage, "config set-context x --host /x")
			left, err := os.ReadFile(filepath.Join(b.dir, "config.yaml"))
			require.NoError(t, err)
			require.Equal(t, text, string(left))
		}
	}
	b.file("config.yaml", "")
	require.Contains(t, b.ok("get vpcs -o json --host "+b.socket), "vpcs")
}

// Where the file is if nobody says.
func TestConfigPath(t *testing.T) {
	t.Setenv("TRANSITCTL_CONFIG", "")
	t.Setenv("XDG_CONFIG_HOME", "/x")
	path, err := configPath()
	require.NoError(t, err)
	require.Equal(t, "/x/transitctl/config.yaml", path)
	t.Setenv("XDG_CONFIG_HOME", "")
	t.Setenv("HOME", "/h")
	path, err = configPath()
	require.NoError(t, err)
	require.Equal(t, "/h/.config/transitctl/config.yaml", path)
	t.Setenv("HOME", "")
	_, err = readConfig()
	require.NoError(t, err)
}
