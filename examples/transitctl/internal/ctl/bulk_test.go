// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	v1 "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

func lines(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"vni": 7, "address": "10.%d.%d.%d", "host": "192.0.2.2"}`+"\n", i>>16, i>>8&255, i&255)
	}
	return b.String()
}

// Many endpoints go in chunks, and nothing is said of how far it is where nobody looks.
func TestAddMany(t *testing.T) {
	b := newBench(t)
	b.file("many.jsonl", lines(100_000))
	start := time.Now()
	require.Equal(t, "endpoints: 100000 added, 0 unchanged\n", b.ok("add endpoints -f many.jsonl"))
	t.Logf("%.0f endpoints a second, against a daemon that does nothing", 100_000/time.Since(start).Seconds())
	require.Len(t, b.chunks, (100_000+chunk-1)/chunk)
	require.Equal(t, chunk, slices.Max(b.chunks))
}

// What a file has is not replaced unless somebody says so.
func TestAddManyForce(t *testing.T) {
	b := newBench(t)
	b.file("one.csv", "7,10.0.0.1,192.0.2.2\n")
	b.ok("add endpoints -f one.csv")
	require.False(t, b.over)
	b.ok("add endpoints -f one.csv --force")
	require.True(t, b.over)
}

// A daemon that answers for less than it was sent is not taken at its word.
func TestAddManyShort(t *testing.T) {
	b := newBench(t)
	b.short = 1
	b.file("many.jsonl", lines(10))
	code, out, err := b.run("add endpoints -f many.jsonl")
	require.Equal(t, exitError, code)
	require.Empty(t, out)
	require.Contains(t, err, "answered for 9 of 10")
}

// Asked for, progress is lines where there is no terminal.
func TestProgressLines(t *testing.T) {
	b := newBench(t)
	b.file("many.jsonl", lines(3*chunk))
	code, out, err := b.run("add endpoints -f many.jsonl --progress")
	require.Zero(t, code)
	require.Equal(t, fmt.Sprintf("endpoints: %d added, 0 unchanged\n", 3*chunk), out)
	all := strings.Split(strings.TrimSpace(err), "\n")
	require.Contains(t, all[0], fmt.Sprintf("%d of %d", chunk, 3*chunk))
	require.Contains(t, all[len(all)-1], fmt.Sprintf("100%%  %d of %d", 3*chunk, 3*chunk))
	require.NotContains(t, err, "\x1b")
	require.NotContains(t, err, "\r")
}

// On a terminal it is a bar, which is gone at the end; the answer does not go there.
func TestProgressBar(t *testing.T) {
	b := newBench(t)
	b.slow = 60 * time.Millisecond
	file := b.file("many.jsonl", lines(6*chunk))
	run := func(args ...string) (out, screen string) {
		var stdout bytes.Buffer
		screen = onTerminal(t, func(terminal *os.File) {
			require.Zero(t, Run(t.Context(), append([]string{"add", "endpoints", "-f", file}, args...), nil, &stdout, terminal))
		})
		return stdout.String(), screen
	}
	out, screen := run()
	require.Equal(t, fmt.Sprintf("endpoints: %d added, 0 unchanged\n", 6*chunk), out)
	require.Contains(t, screen, "█░")
	require.Contains(t, screen, "%")
	require.True(t, strings.HasSuffix(screen, "\r\x1b[K"), "%q", screen)
	_, screen = run("--progress=false")
	require.Empty(t, screen)
	narrow := onTerminal(t, func(terminal *os.File) {
		require.NoError(t, unix.IoctlSetWinsize(int(terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 20}))
		require.Zero(t, Run(t.Context(), []string{"add", "endpoints", "-f", file}, nil, io.Discard, terminal))
	})
	for draw := range strings.SplitSeq(narrow, "\r") {
		require.Less(t, len(strings.TrimSuffix(draw, "\x1b[K")), 20, "%q", narrow)
	}
}

// An error in the middle ends it, says how far it came, and leaves nothing waiting.
func TestAddManyFails(t *testing.T) {
	b := newBench(t)
	b.file("many.jsonl", lines(2*chunk)+`{"vni": 7, "address": "10.9.9.9"}`+"\n"+lines(6*chunk))
	code, out, err := b.run("add endpoints -f many.jsonl")
	require.Equal(t, exitUsage, code)
	require.Empty(t, out)
	require.Contains(t, err, fmt.Sprintf("%d added, 0 unchanged, of %d\n", 2*chunk, 8*chunk+1))
	require.Contains(t, err, fmt.Sprintf("transitctl: many.jsonl:%d: endpoint: host: it is not given\n", 2*chunk+1))

	// The daemon counts from where a message begins, and not at all where it has one. Lines are what the file has.
	for name, text := range map[string]string{
		"a.csv":  "# who is where\nvni,address,host\n7,10.0.0.1,192.0.2.1\n7,10.0.0.2\n",
		"b.yaml": "endpoints:\n- {vni: 7, address: 10.0.0.1, host: 192.0.2.1}\n-\n  vni: 7\n  address: 10.0.0.2\n",
		"c.csv":  "vni,address\n# one\n\n7,10.0.0.2\n",
	} {
		b.file(name, text)
		_, _, err := b.run("add endpoints -f " + name)
		require.Contains(t, err, "transitctl: "+name+":4: endpoint: host: it is not given\n")
	}
}

// So does an interrupt, and a daemon that says nothing for too long.
func TestAddManyInterrupted(t *testing.T) {
	b := newBench(t)
	b.slow = time.Second / 4
	file := b.file("many.jsonl", lines(10*chunk))
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(b.slow, cancel)
	code, _, err := b.runWith(ctx, "", "add", "endpoints", "-f", file)
	require.Equal(t, exitError, code)
	require.Contains(t, err, "transitctl: interrupted: more may be done than was answered: give the same file again\n")

	code, _, err = b.run("add endpoints -f many.jsonl --timeout 300ms")
	require.Equal(t, exitUnavailable, code, err)
	require.Contains(t, err, "--timeout")
}

// A stream that is refused at once is told as it is.
func TestAddManyDenied(t *testing.T) {
	b := newBench(t)
	b.fail = func(string) error {
		return refused(connect.CodePermissionDenied, &v1.ErrorDetail{Cause: v1.Cause_CAUSE_ROLE}, "add endpoints: the role is read")
	}
	b.file("many.jsonl", lines(6*chunk))
	code, _, err := b.run("add endpoints -f many.jsonl")
	require.Equal(t, exitDenied, code)
	require.Contains(t, err, "the role is read: this client may only read")
}

func TestDeleteMany(t *testing.T) {
	b := newBench(t)
	b.ok("add endpoint 7/10.0.0.0 --at 192.0.2.2")
	b.ok("add endpoint 7/10.0.0.1 --at 192.0.2.2")
	b.file("three.csv", "7,10.0.0.0\n7,10.0.0.1\n7,10.0.0.2\n")
	require.Equal(t, "endpoints: 2 removed, 1 not there\n", b.ok("delete endpoints -f three.csv"))
}

// The form of a file is that of its name, or how it begins.
func TestFormats(t *testing.T) {
	const row = `{"vni":7,"address":"10.0.0.2","host":"192.0.2.2"}`
	for text, want := range map[string]string{
		row + "\n" + row:                         "jsonl",
		`{"endpoints":[` + row + `]}`:            "yaml",
		"{\n\"endpoints\":[" + row + "]}":        "yaml",
		"[" + row + "]":                          "yaml",
		"- {vni: 7, address: 10.0.0.2}":          "yaml",
		"endpoints:\n- {vni: 7}":                 "yaml",
		"# which\n\nvni,address\n7,10.0.0.2":     "csv",
		"7,10.0.0.2,192.0.2.2,,5":                "csv",
		"# which\n- vni: 7\n  address: 10.0.0.2": "yaml",
	} {
		require.Equal(t, want, formatOf("-", []byte(text)), text)
		c := &cli{in: strings.NewReader(text)}
		all, _, err := c.readEndpoints("-", "")
		require.NoError(t, err, text)
		require.NotEmpty(t, all, text)
		require.EqualValues(t, 7, all[0].GetVni(), text)
	}
	for name, want := range map[string]string{"a.csv": "csv", "a.yml": "yaml", "a.yaml": "yaml", "a.json": "json", "a.jsonl": "jsonl", "a.ndjson": "jsonl"} {
		require.Equal(t, want, formatOf(name, []byte(row)))
	}
}

func FuzzEndpoints(f *testing.F) {
	for _, text := range []string{"7,10.0.0.2", `{"vni":7}`, "- {vni: 7}", "endpoints: [{vni: 7}]", "a: &a [*a]", "{}", "endpoints:"} {
		f.Add(text, "")
	}
	f.Fuzz(func(t *testing.T, text, format string) {
		c := &cli{in: strings.NewReader(text)}
		all, _, err := c.readEndpoints("-", format)
		var wrong usageError
		if err != nil && !errors.As(err, &wrong) {
			t.Fatalf("not the caller's mistake: %v", err)
		}
		if err == nil && len(all) == 0 {
			t.Fatal("neither endpoints nor an error")
		}
	})
}
