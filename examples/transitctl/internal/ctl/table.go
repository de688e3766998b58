// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"io"
	"strings"
	"unicode"
)

// cell is a text in a table.
type cell struct {
	text  string
	color color
}

// table is rows of cells; those of a column are as wide as the widest. text/tabwriter knows neither colours nor
// letters that take two places or none.
type table struct {
	right []bool // columns that are aligned to the right
	blank bool   // what is empty stays so; else it is -
	rows  [][]cell
}

func (t *table) add(texts ...string) {
	var row []cell
	for _, s := range texts {
		row = append(row, cell{text: s})
	}
	t.rows = append(t.rows, row)
}

const gap = "  "

func (t *table) print(out io.Writer, p palette) error {
	var widths []int
	for _, row := range t.rows {
		for i := range row {
			row[i].text = clean(row[i].text)
			if row[i].text == "" && !t.blank {
				row[i].text = "-"
			}
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], width(row[i].text))
		}
	}
	var b strings.Builder
	for _, row := range t.rows {
		for len(row) > 0 && row[len(row)-1].text == "" {
			row = row[:len(row)-1] // nothing to align
		}
		for i, c := range row {
			fill := strings.Repeat(" ", widths[i]-width(c.text))
			if i > 0 {
				b.WriteString(gap)
			}
			right := i < len(t.right) && t.right[i]
			if right {
				b.WriteString(fill)
			}
			b.WriteString(p.paint(c.color, c.text))
			if !right && i < len(row)-1 {
				b.WriteString(fill)
			}
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// clean has what a terminal would take for a command in letters: names come from other hosts.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// width is how many places a text takes on a terminal.
func width(s string) int {
	n := 0
	for _, r := range s {
		switch {
		case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
			// It is drawn over the letter before it, or not at all.
		case unicode.In(r, unicode.Han, unicode.Hangul, unicode.Hiragana, unicode.Katakana), r >= 0x3000 && r <= 0x303e,
			r >= 0xff01 && r <= 0xff60, r >= 0xffe0 && r <= 0xffe6, r >= 0x1f300 && r <= 0x1faff:
			n += 2
		default:
			n++
		}
	}
	return n
}
