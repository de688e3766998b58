// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mizar-go/mizar/dataplane"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/stretchr/testify/require"
)

// quick is all there is to measure, as short as it can be.
func quick(t *testing.T) options {
	o := defaults()
	o.rounds, o.long, o.endpoints, o.parallel = 1, 50*time.Millisecond, 10_000, 4
	o.json = filepath.Join(t.TempDir(), "bench.json")
	o.svg = filepath.Join(t.TempDir(), "bench.svg")
	return o
}

// Every figure of every contender is there and positive, in every form, and nothing is left.
func TestRun(t *testing.T) {
	testutil.Root(t)
	leaks(t)
	o := quick(t)
	var out bytes.Buffer
	err := run(t.Context(), o, &out, io.Discard)
	t.Log("\n" + out.String())
	require.NoError(t, err)
	require.Contains(t, out.String(), "To reach")

	var got struct {
		Goals  []outcome
		Series []series
	}
	b, err := os.ReadFile(o.json)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, &got))
	require.Len(t, got.Goals, len(goals()))
	for _, g := range got.Goals {
		require.Positive(t, g.Got, g.Goal)
	}
	seen := make(map[string]int)
	for _, s := range got.Series {
		require.NotEmpty(t, s.Rounds)
		for _, v := range s.Rounds {
			require.Positive(t, v, "%s of %s, MTU %d", s.Figure, s.Contender, s.MTU)
		}
		seen[s.Contender]++
	}
	figures := 0
	for _, m := range measures() {
		if m.asked {
			continue
		}
		figures += len(m.figures)
		if m.jumbo {
			figures += len(m.figures)
		}
	}
	for _, c := range contenders() {
		require.Equal(t, figures, seen[c.name], c.name)
	}
	for _, f := range forwarders() {
		require.Equal(t, 1, seen[f.name], f.name)
	}

	f, err := os.Open(o.svg)
	require.NoError(t, err)
	defer f.Close()
	for d := xml.NewDecoder(f); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else {
			require.NoError(t, err)
		}
	}
}

// Ctrl-C at some points: it stops there, says so, and everything is taken down.
func TestInterrupt(t *testing.T) {
	testutil.Root(t)
	for _, at := range []string{"build contenders", "round 1", "provision 10000", "create 4 endpoints"} {
		t.Run(at, func(t *testing.T) {
			leaks(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			o := quick(t)
			switch at { // get there soon
			case "build contenders":
			case "round 1":
				o.contenders, o.long = []string{vxlan, tcx}, time.Hour
			default:
				o.contenders, o.measures = nil, []string{provisioning}
			}
			err := run(ctx, o, io.Discard, testutil.Trigger{On: at, Do: cancel})
			require.ErrorIs(t, err, context.Canceled)
		})
	}
}

// leaks fails the test if the process holds more at its end, or if pins of this process are left.
func leaks(t *testing.T) {
	testutil.Leaks(t)
	testutil.NoFiles(t, filepath.Join(dataplane.DefaultBPFFS, "mizar", instance("*")))
}

func TestOptions(t *testing.T) {
	o, err := parse([]string{"-contenders", "tcx,vxlan", "-measures", "trip", "-rounds", "2", "-json", "-"}, io.Discard)
	require.NoError(t, err)
	require.Equal(t, []string{tcx, vxlan}, o.contenders)
	require.True(t, o.wants("trip"))
	require.False(t, o.wants(provisioning))
	for _, bad := range [][]string{
		{"-contenders", "magic"}, {"-measures", ""}, {"-rounds", "0"}, {"-long", "0s"}, {"-endpoints", "-1"}, {"more"},
	} {
		_, err := parse(bad, io.Discard)
		require.Error(t, err, bad)
	}
}

func TestBusy(t *testing.T) {
	before, err := parseTimes("cpu  10 0 10 70 10 0 0 0 5 0")
	require.NoError(t, err)
	require.Equal(t, times{idle: 80, all: 100}, before)
	after, err := parseTimes("cpu  20 5 20 130 10 1 2 12 6 0")
	require.NoError(t, err)
	require.InDelta(t, 0.4, share(before, after), 1e-9)
	require.Zero(t, share(after, after))
	for _, bad := range []string{"", "cpu0 1 2 3 4 5 6 7 8", "cpu 1 2 3", "cpu a b c d e f g h"} {
		_, err := parseTimes(bad)
		require.Error(t, err, bad)
	}
	_, err = busy(t.Context(), time.Millisecond)
	require.NoError(t, err)
}

func TestRotated(t *testing.T) {
	require.Equal(t, []int{1, 2, 3}, rotated([]int{1, 2, 3}, 3))
	require.Equal(t, []int{3, 1, 2}, rotated([]int{1, 2, 3}, 2))
	require.Empty(t, rotated([]int(nil), 1))
}

// A file that cannot be written is found before minutes have gone by.
func TestWritable(t *testing.T) {
	o := options{json: "-", svg: ""}
	require.NoError(t, o.writable())
	o.svg = filepath.Join(t.TempDir(), "no-such-directory", "bench.svg")
	require.ErrorIs(t, o.writable(), os.ErrNotExist)
	testutil.Root(t)
	require.ErrorIs(t, run(t.Context(), o, io.Discard, io.Discard), os.ErrNotExist)
}

func TestMedian(t *testing.T) {
	require.Equal(t, 2.0, median([]float64{3, 1, 2}))
	require.Equal(t, 2.5, median([]float64{4, 1, 2, 3}))
	// Each round by itself: the machine was half as fast in the second.
	a, b := &series{Rounds: []float64{10, 5, 10}}, &series{Rounds: []float64{5, 2.5, 5}}
	require.Equal(t, 2.0, ratio(a, b))
}

func TestReached(t *testing.T) {
	more, less := goal{atLeast: 1, aims: 1.5}, goal{atLeast: 1, aims: 0.5}
	for got, want := range map[float64][2]string{0.4: {"NO", "aim"}, 0.5: {"NO", "aim"}, 1: {"yes", "yes"}, 1.2: {"yes", "NO"}, 1.5: {"aim", "NO"}} {
		require.Equal(t, want, [2]string{more.reached(got), less.reached(got)}, got)
	}
}
