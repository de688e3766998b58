// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/mizar-go/mizar/dataplane"
	"github.com/mizar-go/mizar/droplet"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/stretchr/testify/require"
)

// cookbook is the Go of docs/functions.md. traffic is called where packets are to run, with what should be made of
// those to port 53.
func cookbook(ctx context.Context, dp *dataplane.Dataplane, web netip.Addr, log *slog.Logger, traffic func(dropped string) error) error {
	spec, err := loadFirewall() // what bpf2go made; of a file: ebpf.LoadCollectionSpec("firewall.o")
	if err != nil {
		return err
	}
	firewall, err := dp.Function.Load(ctx, "firewall", spec)
	if err != nil {
		return err // with the verifier's log, for errors.As with *ebpf.VerifierError
	}
	defer firewall.Close() // of descriptors: it stays loaded

	scope := dataplane.Scope{VNI: 7, Addr: web} // an endpoint; without Addr: all of the VPC; zero: the host
	if err := dp.Stage.Set(ctx, dataplane.StageDeliver, scope, "firewall"); err != nil {
		return err
	}
	if err := traffic("firewall.closed"); err != nil {
		return err
	}

	for c, err := range dp.Stats.Counters(ctx) {
		if err != nil {
			return err
		}
		log.Info("packets", "reason", c.Name, "count", c.Packets) // firewall.closed, DELIVER, …
	}
	for c, err := range dp.Stage.List(ctx) {
		if err != nil {
			return err
		}
		log.Info("chain", "stage", c.Stage, "vni", c.VNI, "interface", c.Ifindex, "functions", c.Functions)
	}

	again, err := dp.Function.Get(ctx, "firewall")
	if err != nil {
		return err
	}
	defer again.Close()
	rules := again.Maps["rules"]
	log.Info("rules", "room", rules.MaxEntries())

	second, err := NewFirewall(ctx, dp, "firewall-2", 7)
	if err != nil {
		return err
	}
	defer second.Close()
	if err := second.Allow(netip.MustParsePrefix("10.0.0.0/24"), UDP(53)); err != nil {
		return err
	}
	if err := dp.Stage.Set(ctx, dataplane.StageDeliver, scope, "firewall-2"); err != nil {
		return err
	}
	if err := dp.Function.Remove(ctx, "firewall"); err != nil {
		return err
	}
	if err := traffic(""); err != nil {
		return err
	}

	if err := dp.Stage.Clear(ctx, dataplane.StageDeliver, scope); err != nil {
		return err
	}
	if err := dp.Function.Remove(ctx, "firewall-2"); err != nil {
		return err
	}
	return traffic("")
}

// What the page has is what the tests run: its C is that of the examples, its Go is cookbook's and the examples', and
// its command compiles.
func TestCookbook(t *testing.T) {
	page, err := os.ReadFile("../../docs/functions.md")
	require.NoError(t, err)
	sources := make(map[string]string)
	for _, pattern := range []string{"*.bpf.c", "*.go"} {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, f := range files {
			text, err := os.ReadFile(f)
			require.NoError(t, err)
			sources[f] = string(text)
		}
	}
	blocks := make(map[string][]string)
	for _, m := range regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$").FindAllStringSubmatch(string(page), -1) {
		blocks[m[1]] = append(blocks[m[1]], m[2])
	}
	require.Equal(t, sources["firewall.bpf.c"], blocks["c"][0])
	for _, lang := range []string{"c", "go"} {
		require.NotEmpty(t, blocks[lang])
		for _, block := range blocks[lang] {
			require.True(t, excerpt(sources, lang, block), "not what is tested:\n%s", block)
		}
	}
	require.Len(t, blocks["sh"], 1)
	require.ElementsMatch(t, []string{"c", "go", "sh"}, keys(blocks), "a block that no test looks at")

	testutil.Root(t)
	leaks(t)
	w, err := build(t.Context(), droplet.TCX)
	t.Cleanup(func() { require.NoError(t, w.close()) })
	require.NoError(t, err)
	t.Run("Go", func(t *testing.T) {
		var said strings.Builder
		err := cookbook(t.Context(), w.b.dp, w.b1.v4, slog.New(slog.NewTextHandler(&said, nil)), func(dropped string) error {
			_, err := w.try(t.Context(), flow{name: "a1 → b1:53", from: w.a1, to: w.b1.v4, port: 53, lost: dropped}, 20)
			return err
		})
		require.NoError(t, err)
		require.Contains(t, said.String(), "reason=firewall.closed count=20")
		require.Contains(t, said.String(), "functions=[firewall]")
		for name, err := range w.b.dp.Function.List(t.Context()) {
			require.NoError(t, err)
			t.Errorf("function %s is left", name)
		}
	})
	t.Run("command", func(t *testing.T) {
		if _, err := exec.LookPath("clang-19"); err != nil && os.Getenv("CI") != "true" {
			t.Skip("clang-19 is not installed")
		}
		spec := compile(t, blocks["sh"][0], blocks["c"][0])
		f, err := w.b.dp.Function.Load(t.Context(), "compiled", spec)
		require.NoError(t, err)
		unloadAfter(t, w.b.dp, dataplane.StageDeliver, w.b1.scope(), f)
		require.NoError(t, w.b.dp.Stage.Set(t.Context(), dataplane.StageDeliver, w.b1.scope(), "compiled"))
		_, err = w.try(t.Context(), flow{name: "a1 → b1:53", from: w.a1, to: w.b1.v4, port: 53, lost: "compiled.closed"}, 20)
		require.NoError(t, err)
	})
}

// compile does as the page says, elsewhere: where function.h is comes from the command then.
func compile(t *testing.T, command, source string) *ebpf.CollectionSpec {
	t.Helper()
	work, err := filepath.Abs("../../go.work")
	require.NoError(t, err)
	dir := t.TempDir()
	source = strings.Replace(source, `"../../bpf/function.h"`, `"function.h"`, 1)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "firewall.bpf.c"), []byte(source), 0o600))
	sh := exec.Command("sh", "-euc", command)
	sh.Dir, sh.Env = dir, append(os.Environ(), "GOWORK="+work)
	out, err := sh.CombinedOutput()
	require.NoError(t, err, "%s", out)
	spec, err := ebpf.LoadCollectionSpec(filepath.Join(dir, "firewall.o"))
	require.NoError(t, err)
	return spec
}

// excerpt tells whether whole lines of a source are the block, however far they are indented.
func excerpt(sources map[string]string, lang, block string) bool {
	for name, text := range sources {
		if !strings.HasSuffix(name, "."+lang) {
			continue
		}
		for _, tabs := range []string{"", "\t", "\t\t"} {
			indented := regexp.MustCompile(`(?m)^(.)`).ReplaceAllString(block, tabs+"$1")
			if strings.Contains("\n"+text, "\n"+indented) {
				return true
			}
		}
	}
	return false
}

func keys(blocks map[string][]string) (names []string) {
	for name := range blocks {
		names = append(names, name)
	}
	return names
}
