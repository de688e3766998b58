// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"html"
	"strings"
)

// canvas is an SVG under way. Lengths are in pixels, from the top left.
type canvas struct{ bytes.Buffer }

const fonts = "DejaVu Sans, Verdana, Helvetica, Arial, sans-serif"

// finish puts what was drawn into a picture of a size.
func (c *canvas) finish(title string, width, height int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" font-family="%s">
<title>%s</title>
<rect width="100%%" height="100%%" fill="#ffffff"/>
`, width, height, fonts, html.EscapeString(title))
	b.Write(c.Bytes())
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func (c *canvas) line(x1, y1, x2, y2 int, colour string, width float64) {
	fmt.Fprintf(c, `<line x1="%d" y1="%d" x2="%d" y2="%d" stroke="%s" stroke-width="%.1f" stroke-linecap="round"/>`+"\n",
		x1, y1, x2, y2, colour, width)
}

func (c *canvas) box(x, y, w, h, round int, fill, edge string) {
	fmt.Fprintf(c, `<rect x="%d" y="%d" width="%d" height="%d" rx="%d" fill="%s" stroke="%s"/>`+"\n", x, y, w, h, round, fill, edge)
}

// font is how text looks.
type font struct {
	size   int
	bold   bool
	colour string
	anchor string // start, middle or end; empty: start
}

// text writes what fits a width, its base line at y.
func (c *canvas) text(x, y, width int, f font, s string) {
	if f.anchor == "" {
		f.anchor = "start"
	}
	weight := ""
	if f.bold {
		weight = ` font-weight="bold"`
	}
	fmt.Fprintf(c, `<text x="%d" y="%d" font-size="%d" fill="%s" text-anchor="%s"%s>%s</text>`+"\n",
		x, y, f.size, f.colour, f.anchor, weight, html.EscapeString(clip(s, width, f)))
}

// pill is a word in a box of its own; it tells how wide that is.
func (c *canvas) pill(x, y, width int, s, fill, edge, colour string) int {
	f := font{size: 11, colour: colour, anchor: "middle"}
	s = clip(s, width-14, f)
	w := f.width(s) + 14
	c.box(x, y, w, 18, 9, fill, edge)
	c.text(x+w/2, y+13, w, f, s)
	return w
}

// width is about what text takes: renderers have other fonts, none much wider.
func (f font) width(s string) int {
	w := 0.0
	for _, r := range s {
		switch {
		case strings.ContainsRune("iIjl.,:;|'! ()[]/", r):
			w += 0.36
		case strings.ContainsRune("mwMW", r):
			w += 0.95
		default:
			w += 0.62
		}
	}
	if f.bold {
		w *= 1.1
	}
	return int(w*float64(f.size)) + 1
}

func clip(s string, width int, f font) string {
	if f.width(s) <= width {
		return s
	}
	r := []rune(s)
	for len(r) > 0 && f.width(string(r)+"…") > width {
		r = r[:len(r)-1]
	}
	return string(r) + "…"
}

// amount shortens a number: 12.3 k.
func amount(n uint64, unit string) string {
	if n < 1000 {
		return strings.TrimSpace(fmt.Sprintf("%d %s", n, unit))
	}
	v, prefix := float64(n), ""
	for _, p := range []string{"k", "M", "G", "T", "P", "E"} {
		if v < 999.5 {
			break
		}
		v, prefix = v/1000, p
	}
	digits := 2
	if v >= 99.95 {
		digits = 0
	} else if v >= 9.995 {
		digits = 1
	}
	return fmt.Sprintf("%.*f %s%s", digits, v, prefix, unit)
}
