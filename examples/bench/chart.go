// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// panel is a figure in the chart.
type panel struct {
	title, figure string
	mtu           int
	base          string // contender that ratios are to
}

func panels() []panel {
	return []panel{
		{"TCP, one stream, MTU 1500", streamOne, standardMTU, vxlan},
		{"TCP, one stream, MTU 9000", streamOne, jumboMTU, vxlan},
		{"64-byte packets, one CPU", packetsOne, standardMTU, vxlan},
		{"Round trip p50, one CPU", tripOne, standardMTU, vxlan},
		{"TCP connections, one CPU", connections, standardMTU, vxlan},
		{"Packets forwarded by one CPU", forwardRate, 0, kernelIP},
	}
}

// Sizes in the chart.
const (
	chartWidth  = 960
	panelWidth  = 448
	labelWidth  = 174
	barWidth    = 192 // of the greatest
	barHeight   = 16
	barStep     = 23
	panelHead   = 30
	panelGap    = 24
	chartMargin = 20
	chartHead   = 62
	chartFoot   = 60
)

// chartStyle has the colours of architecture.svg, for light and dark pages.
const chartStyle = `
    .page { fill: #ffffff; stroke: #d0d7de }
    .ours { fill: #1a7f37 } .theirs { fill: #8c959f }
    .axis { stroke: #d0d7de }
    text { font: 12px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328 }
    .title { font-size: 17px; font-weight: 600 } .name { font-size: 13px; font-weight: 600 }
    .small { font-size: 11px; fill: #59636e } .end { text-anchor: end }
    @media (prefers-color-scheme: dark) {
      .page { fill: #0d1117; stroke: #3d444d }
      .ours { fill: #3fb950 } .theirs { fill: #656c76 }
      .axis { stroke: #3d444d }
      text { fill: #f0f6fc }
      .small { fill: #9198a1 }
    }
`

// draw writes an SVG with a panel for each figure that was measured.
func (r *results) draw(out io.Writer) error {
	var there []panel
	for _, p := range panels() {
		if len(r.bars(p)) > 0 {
			there = append(there, p)
		}
	}
	var body strings.Builder
	y := chartHead
	for i := 0; i < len(there); i += 2 {
		tallest := 0
		for side, p := range there[i:min(i+2, len(there))] {
			bars := r.bars(p)
			r.drawPanel(&body, p, bars, chartMargin+side*(panelWidth+panelGap), y)
			tallest = max(tallest, panelHead+len(bars)*barStep)
		}
		y += tallest + panelGap
	}
	height := y + chartFoot - panelGap
	w := bufio.NewWriter(out)
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-labelledby="title desc">`, chartWidth, height)
	fmt.Fprintf(w, "\n  <title id=\"title\">Mizar beside kernel VXLAN and plain veth</title>\n")
	fmt.Fprintf(w, "  <desc id=\"desc\">Bars of throughput, packets, round trips, connections and forwarding.</desc>\n")
	fmt.Fprintf(w, "  <style>%s  </style>\n", chartStyle)
	fmt.Fprintf(w, "  <rect class=\"page\" x=\"0.5\" y=\"0.5\" width=\"%d\" height=\"%d\" rx=\"8\"/>\n", chartWidth-1, height-1)
	text(w, chartMargin, 34, "title", "Mizar beside kernel VXLAN and plain veth")
	text(w, chartWidth-chartMargin, 34, "small end", "in brackets: × kernel VXLAN, or × ip_forward")
	fmt.Fprint(w, body.String())
	text(w, chartMargin, height-35, "small", r.about.String())
	text(w, chartMargin, height-18, "small", "Ratios are medians of the ratios within each round. Less is better for round trips, more for all else.")
	fmt.Fprintln(w, "</svg>")
	return w.Flush()
}

// bars are what a panel shows, in the order of measurement.
func (r *results) bars(p panel) (all []*series) {
	for _, s := range r.series {
		if s.Figure == p.figure && s.MTU == p.mtu {
			all = append(all, s)
		}
	}
	return all
}

func (r *results) drawPanel(w io.Writer, p panel, bars []*series, x, y int) {
	greatest := 0.0
	for _, s := range bars {
		greatest = max(greatest, s.Median)
	}
	base := r.find(p.figure, p.base, p.mtu)
	text(w, x, y+12, "name", p.title+", "+bars[0].Unit)
	for i, s := range bars {
		top := y + panelHead + i*barStep
		class := "theirs"
		if strings.HasPrefix(s.title, library) {
			class = "ours"
		}
		width := max(1, s.Median/greatest*barWidth)
		text(w, x+labelWidth-8, top+12, "end", s.title)
		fmt.Fprintf(w, "  <rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" rx=\"2\"/>\n", class, x+labelWidth, top, width, barHeight)
		value := s.text()
		if base != nil && s != base {
			value += fmt.Sprintf(" (%.2f)", ratio(s, base))
		}
		text(w, x+labelWidth+int(width)+6, top+12, "", value)
	}
	fmt.Fprintf(w, "  <path class=\"axis\" d=\"M%d %dv%d\"/>\n", x+labelWidth, y+panelHead-4, len(bars)*barStep+1)
}

func text(w io.Writer, x, y int, class, s string) {
	fmt.Fprintf(w, "  <text x=\"%d\" y=\"%d\"", x, y)
	if class != "" {
		fmt.Fprintf(w, " class=\"%s\"", class)
	}
	fmt.Fprint(w, ">")
	_ = xml.EscapeText(w, []byte(s)) // what w says comes up where it is flushed
	fmt.Fprintln(w, "</text>")
}
