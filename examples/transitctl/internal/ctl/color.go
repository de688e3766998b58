// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"io"
	"os"

	"golang.org/x/term"
)

// color is an SGR code; none where it is empty.
type color string

const (
	bold   color = "1"
	red    color = "31"
	green  color = "32"
	yellow color = "33"
	faint  color = "2"
)

// palette paints, or does not.
type palette bool

func (p palette) paint(c color, s string) string {
	if !p || c == "" || s == "" {
		return s
	}
	return "\x1b[" + string(c) + "m" + s + "\x1b[0m"
}

// terminal is the file of a writer that somebody looks at.
func terminal(w io.Writer) (*os.File, bool) {
	f, ok := w.(*os.File)
	return f, ok && term.IsTerminal(int(f.Fd()))
}

// palette for what is written to w.
func (c *cli) palette(w io.Writer) palette {
	switch c.color {
	case "always":
		return true
	case "never":
		return false
	}
	_, is := terminal(w)
	return palette(is && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb")
}
