// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// onTerminal has what f writes to a terminal, as it is written.
func onTerminal(t *testing.T, f func(terminal *os.File)) string {
	t.Helper()
	// Non-blocking, so that Close ends a read.
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	require.NoError(t, err)
	master := os.NewFile(uintptr(fd), "ptmx")
	defer master.Close()
	require.NoError(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	require.NoError(t, err)
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	raw, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
	require.NoError(t, err)
	raw.Oflag &^= unix.OPOST // \n stays one
	require.NoError(t, unix.IoctlSetTermios(int(terminal.Fd()), unix.TCSETS, raw))
	require.NoError(t, unix.IoctlSetWinsize(int(terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}))
	var screen bytes.Buffer
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(&screen, master) // ends with EIO when nobody has the terminal open
	}()
	f(terminal)
	require.NoError(t, terminal.Close())
	<-done
	return screen.String()
}

// Colours are for terminals, unless somebody says otherwise.
func TestColor(t *testing.T) {
	b := newBench(t)
	b.ok("create droplet gone0")
	const painted = "\x1b[31mgone\x1b[0m"
	screen := func(args ...string) string {
		return onTerminal(t, func(terminal *os.File) {
			Run(t.Context(), append([]string{"get", "droplets"}, args...), nil, terminal, terminal)
		})
	}
	require.Contains(t, screen(), painted)
	require.Contains(t, screen(), "\x1b[1mINTERFACE\x1b[0m")
	require.NotContains(t, screen("--color", "never"), "\x1b")
	require.NotContains(t, b.ok("get droplets"), "\x1b")
	require.Contains(t, b.ok("get droplets --color always"), painted)
	require.Contains(t, screen("--context", "nowhere"), "\x1b[31mtransitctl:\x1b[0m there is no context")
	require.NotContains(t, b.ok("get droplets --color always -o json"), "\x1b")
	t.Setenv("NO_COLOR", "1")
	require.NotContains(t, screen(), "\x1b")
	require.Contains(t, screen("--color", "always"), painted)
	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "dumb")
	require.NotContains(t, screen(), "\x1b")
}

// A column is as wide as its text is on the screen, painted or not.
func TestWidth(t *testing.T) {
	for text, want := range map[string]int{"": 0, "eth0": 4, "Füße": 4, "e\u0301": 1, "網路": 4, "a\u200db": 2, "🦀": 2} {
		require.Equal(t, want, width(text), "%q", text)
	}
	table := &table{right: []bool{false, true}, rows: [][]cell{
		{{text: "NAME"}, {text: "N"}, {text: "X"}}, {{"網路", red}, {"1000", green}, {text: "x"}}, {{text: "ü"}, {text: ""}, {text: ""}},
	}}
	var out bytes.Buffer
	require.NoError(t, table.print(&out, true))
	require.Equal(t, "NAME     N  X\n\x1b[31m網路\x1b[0m  \x1b[32m1000\x1b[0m  x\nü        -  -\n", out.String())
}

// What another host says cannot steer the terminal.
func TestClean(t *testing.T) {
	require.Equal(t, "a\ufffd[2Jb c\ufffd", clean("a\x1b[2Jb\nc\u202e"))
	b := newBench(t)
	b.ok("add bridge a\x1b[2J")
	for _, form := range []string{"table", "wide", "name", "json", "yaml"} {
		require.NotContains(t, b.ok("get bridges -o "+form), "\x1b", form)
	}
	b.fails(exitNotFound, "get bridge b\x1b[2J", "b\ufffd[2J")
	require.NotContains(t, strings.Join(strings.Fields(b.ok("get state")), " "), "\x1b")
}
