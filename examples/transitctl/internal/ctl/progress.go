// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"fmt"
	"strings"
	"time"

	"golang.org/x/term"
)

// progress says how far bulk work is, on stderr: a bar that is drawn again on a terminal, else lines, if asked for.
type progress struct {
	c          *cli
	total      int
	bar, lines bool
	start      time.Time
	last       time.Time
}

const (
	drawEvery = 100 * time.Millisecond
	lineEvery = 2 * time.Second
)

func (c *cli) newProgress(wanted, asked bool, total int) *progress {
	_, looked := terminal(c.err)
	return &progress{c: c, total: total, bar: wanted && looked, lines: wanted && asked && !looked, start: time.Now()}
}

// show says it, unless it just did.
func (p *progress) show(n uint64) {
	every := drawEvery
	if p.lines {
		every = lineEvery
	}
	last := n >= uint64(p.total)
	if now := time.Now(); (p.bar || p.lines) && (last || now.Sub(p.last) >= every) {
		p.last = now
		text := p.text(n, now.Sub(p.start))
		if p.lines {
			fmt.Fprintln(p.c.err, text)
			return
		}
		fmt.Fprint(p.c.err, "\r", p.fit(n, text), "\x1b[K")
	}
}

func (p *progress) text(n uint64, since time.Duration) string {
	percent := 100
	if p.total > 0 {
		percent = int(n * 100 / uint64(p.total))
	}
	return fmt.Sprintf("%3d%%  %d of %d  %.0f/s", percent, n, p.total, float64(n)/max(since.Seconds(), 1e-3))
}

// fit puts a bar before the text, as wide as the terminal lets it be.
func (p *progress) fit(n uint64, text string) string {
	room := 80
	if f, ok := terminal(p.c.err); ok {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil && w > 0 {
			room = w
		}
	}
	size := min(30, room-len(text)-5)
	if size < 5 || p.total == 0 {
		return text[:min(len(text), room-1)] // a line that is broken is not drawn over
	}
	full := int(n * uint64(size) / uint64(p.total))
	return "[" + strings.Repeat("█", full) + strings.Repeat("░", size-full) + "] " + text
}

// end leaves the bar's line to what comes after.
func (p *progress) end() {
	if p.bar && !p.last.IsZero() {
		fmt.Fprint(p.c.err, "\r\x1b[K")
	}
}
