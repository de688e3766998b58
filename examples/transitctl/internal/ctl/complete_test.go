// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	v1 "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// complete is what a shell is offered.
func (b *bench) complete(line string) []string {
	b.Helper()
	code, out, _ := b.runWith(b.Context(), "", append([]string{"__complete"}, strings.Split(line, " ")...)...)
	require.Zero(b, code, line)
	typed := line[strings.LastIndex(line, " ")+1:]
	var all []string
	for l := range strings.Lines(out) {
		if !strings.HasPrefix(l, ":") {
			word, _, _ := strings.Cut(strings.TrimSpace(l), "\t")
			if strings.HasPrefix(word, typed) { // as shells do
				all = append(all, word)
			}
		} else {
			require.NotEqual(b, ":0\n", l, "%s: files are offered", line)
		}
	}
	return all
}

func TestComplete(t *testing.T) {
	b := newBench(t)
	for _, line := range []string{"add vpc 7", "add vpc 70", "add vpc 8", "add network 7/10.0.0.0/24 --bouncer 192.0.2.1", "set stage send --function f"} {
		b.ok(line)
	}
	// Verbs and nouns.
	require.Equal(t, []string{"trace"}, b.complete("t"))
	require.Equal(t, []string{"peers"}, b.complete("get pe"))
	require.Equal(t, []string{"droplet", "function", "local-endpoint"}, b.complete("create "))
	require.Subset(t, b.complete("get "), []string{"vpcs", "state", "traffic", "function-maps", "local-endpoints"})
	// Keys, of the daemon.
	require.Equal(t, []string{"7", "70", "8"}, b.complete("get vpc "))
	require.Equal(t, []string{"7", "70"}, b.complete("get vpcs 7"))
	require.Equal(t, []string{"70", "8"}, b.complete("delete vpc 7 "))
	require.Equal(t, []string{"7/10.0.0.0/24"}, b.complete("get networks 7/"))
	require.Equal(t, []string{"send/-/-"}, b.complete("delete stage "))
	require.Equal(t, []string{"send"}, b.complete("set stage s"))
	// Values of flags.
	require.Equal(t, []string{"native", "generic", "tcx", "offload"}, b.complete("create droplet eth0 --mode "))
	require.Equal(t, []string{"7", "70", "8"}, b.complete("get networks --vni "))
	b.file("f.o", "x")
	b.ok("create function one -f f.o")
	b.ok("create function two -f f.o")
	require.Equal(t, []string{"one,two"}, b.complete("set stage send --function one,"))
	require.Empty(t, b.complete("add vpc 7 --divider "))
	require.Equal(t, []string{"json"}, b.complete("get vpcs -o j"))
	require.Equal(t, []string{"here"}, b.complete("get vpcs --context "))
	require.Equal(t, []string{"here"}, b.complete("config use-context "))
	require.Contains(t, b.complete("apply --kinds "), "local-endpoints")
	require.Equal(t, []string{"vpcs,networks"}, b.complete("get state --kinds vpcs,n"))
	require.Equal(t, []string{"DROP_SPOOF_ADDRESS"}, b.complete("watch events --reason DROP_"))
	require.Equal(t, []string{"one/rules", "one/hits", "two/rules", "two/hits"}, b.complete("get function-map "))
	require.Equal(t, []string{"one/rules", "one/hits"}, b.complete("set function-map one/"))
	// Where a value is new, nothing.
	require.Empty(t, b.complete("add vpc "))
	require.Empty(t, b.complete("get traffic "))
	require.Empty(t, b.complete("config view "))
}

// A daemon that is slow, gone or angry is no reason to say anything.
func TestCompleteQuietly(t *testing.T) {
	b := newBench(t)
	b.ok("add vpc 7")
	quiet := func(line string) {
		code, out, err := b.runWith(b.Context(), "", append([]string{"__complete"}, strings.Split(line, " ")...)...)
		require.Zero(t, code)
		require.Equal(t, ":4\n", out)
		require.NotContains(t, err, "transitctl:")
	}
	quiet("get vpcs --host unix:///nowhere.sock ")
	quiet("get vpcs --host https://192.0.2.1 ")
	quiet("get vpcs --context nowhere ")
	b.fail = func(string) error { return errors.New("no") }
	quiet("get vpcs ")
	release := make(chan struct{})
	defer close(release)
	b.fail = func(string) error { <-release; return nil }
	start := time.Now()
	quiet("get vpcs ")
	require.Less(t, time.Since(start), 2*completeTime)
}

// No more than one can read.
func TestCompleteMany(t *testing.T) {
	b := newBench(t)
	for i := range completeMost + 50 {
		b.rows[v1.Kind_KIND_ENDPOINT] = append(b.rows[v1.Kind_KIND_ENDPOINT], &v1.Endpoint{Vni: 7, Address: fmt.Sprintf("10.0.%d.%d", i/256, i%256)})
	}
	require.Len(t, b.complete("get endpoint "), completeMost)
}

// There is a script for every shell, and it is one.
func TestCompletionScripts(t *testing.T) {
	b := newBench(t)
	b.fails(exitUsage, "completion nosh", `"nosh" is no shell of transitctl completion`)
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		require.Contains(t, b.ok("completion "+shell), "transitctl", shell)
	}
}
