// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"context"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	v1 "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// The filter is the daemon's to apply: it gets it whole.
func TestWatchFilter(t *testing.T) {
	b := newBench(t)
	b.ok("watch events --count 1 --no-changes --vni 7,8 --vni 9 --reason A --reason B --prefix 10.0.0.0/8 --kinds vpcs,stage")
	want := &v1.EventFilter{
		NoChanges: true, Vnis: []uint32{7, 8, 9}, Reasons: []string{"A", "B"}, Prefixes: []string{"10.0.0.0/8"},
		Kinds: []v1.Kind{v1.Kind_KIND_VPC, v1.Kind_KIND_STAGE},
	}
	require.True(t, proto.Equal(want, b.filter), "%v", b.filter)
	// Who names a reason wants drops, who names kinds wants changes.
	b.ok("watch events --count 1 --vni 7")
	require.True(t, proto.Equal(&v1.EventFilter{Vnis: []uint32{7}, NoChanges: true}, b.filter), "%v", b.filter)
	b.ok("watch events --count 1 --kinds vpcs")
	require.True(t, proto.Equal(&v1.EventFilter{Kinds: []v1.Kind{v1.Kind_KIND_VPC}, NoDrops: true}, b.filter), "%v", b.filter)
	b.ok("watch events --count 1 --kinds vpcs --vni 7")
	require.True(t, proto.Equal(&v1.EventFilter{Kinds: []v1.Kind{v1.Kind_KIND_VPC}, Vnis: []uint32{7}}, b.filter), "%v", b.filter)
	b.fails(exitUsage, "watch events --no-drops --no-changes", "nothing is left to watch")
	b.fails(exitUsage, "watch events --no-drops --reason A", "nothing is left to watch")
	b.ok("trace 7 10.0.0.1 10.0.0.2 --from 192.0.2.2")
	require.True(t, proto.Equal(&v1.TracePacketRequest{Vni: 7, Source: "10.0.0.1", Destination: "10.0.0.2", From: "192.0.2.2"}, b.traced))
}

// A watch goes on until it is interrupted, which is how it should end; or its time is over.
func TestWatchEnds(t *testing.T) {
	b := newBench(t)
	for _, what := range []string{"events", "counters"} {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(300*time.Millisecond, cancel)
		code, out, err := b.runWith(ctx, "", "watch", what, "--color", "never")
		require.Equal(t, exitOK, code, err)
		require.NotContains(t, err, "transitctl:")
		require.Contains(t, out, "DROP_SPOOF_ADDRESS")
	}
	b.over = true
	code, _, err := b.run("watch events")
	require.Equal(t, exitUnavailable, code)
	require.Contains(t, err, "transitctl: watch events: the daemon ended it: try again")
	b.over = false
	for _, what := range []string{"events", "counters"} {
		code, _, err = b.run("watch " + what + " --timeout 300ms")
		require.Equal(t, exitUnavailable, code)
		require.Contains(t, err, "transitctl: watch: the time of --timeout is over")
	}
}

// Counters are shown with what they rose by.
func TestWatchCounters(t *testing.T) {
	b := newBench(t)
	out := b.ok("watch counters --count 2 --interval 100ms")
	require.NotContains(t, out, "\x1b")
	looks := strings.Split(out, "\n\n")
	require.Len(t, looks, 2)
	require.Regexp(t, `(?m)^NAME +PACKETS +BYTES +PACKETS/S +BYTES/S$`, looks[0])
	require.Regexp(t, `(?m)^DELIVER +1010 +1000 +- +-$`, looks[0])
	// A thousand in about a tenth of a second.
	m := regexp.MustCompile(`(?m)^DELIVER +2010 +1000 +(\d+) +0$`).FindStringSubmatch(looks[1])
	require.NotNil(t, m, looks[1])
	require.Regexp(t, `^[3-9]\d{3}$|^1[0-2]\d{3}$`, m[1])
	require.Regexp(t, `(?m)^DROP_SPOOF_ADDRESS +3 +0 +0 +0$`, looks[1])

	for line := range strings.Lines(b.ok("watch traffic --count 3 --interval 10ms --vni 7 -o json")) {
		var all struct{ Traffic []map[string]any }
		require.NoError(t, json.Unmarshal([]byte(line), &all), line)
		require.Len(t, all.Traffic, 2)
	}
	// On a terminal each look is in the place of the last.
	screen := onTerminal(t, func(terminal *os.File) {
		require.Zero(t, Run(t.Context(), strings.Fields("watch traffic --count 2 --interval 10ms"), nil, terminal, terminal))
	})
	require.Equal(t, 2, strings.Count(screen, "\x1b[H\x1b[2J"))
}
