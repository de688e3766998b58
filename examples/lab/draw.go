// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
)

// The picture has a column for each host: its link to the underlay above, its endpoints below.
const (
	column  = 280
	gap     = 28
	margin  = 32
	inset   = 14
	linkLen = 100 // between the underlay and a host
)

const (
	ink    = "#1f2933"
	faint  = "#61707f"
	rule   = "#cbd5df"
	paper  = "#f5f7fa"
	danger = "#b3261e"
)

// tint is a tenant's colour, and a pale one for what is behind text.
type tint struct{ strong, pale string }

func (p *plan) tints() map[uint32]tint {
	named := map[string]tint{
		"red": {"#c8394b", "#fbeaec"}, "blue": {"#2766b1", "#e8f0fa"}, "green": {"#2f855a", "#e7f5ee"},
		"orange": {"#c05f14", "#fcefe3"}, "purple": {"#7446a8", "#f1eaf9"}, "teal": {"#147d82", "#e3f4f4"},
	}
	rest := []tint{named["blue"], named["orange"], named["green"], named["purple"], named["teal"], named["red"]}
	all := map[uint32]tint{}
	for _, v := range p.vpcs { // those called after a colour have it
		if t, ok := named[v.name]; ok {
			all[v.vni] = t
			rest = slices.DeleteFunc(rest, func(r tint) bool { return r == t })
		}
	}
	if len(rest) == 0 {
		rest = []tint{{faint, paper}}
	}
	for i, v := range p.vpcs {
		if _, ok := all[v.vni]; !ok {
			all[v.vni] = rest[i%len(rest)]
		}
	}
	return all
}

// drawing is a picture of a lab under way.
type drawing struct {
	canvas
	*plan
	colours map[uint32]tint
	names   map[netip.Addr]string // of hosts
}

// draw makes a picture of the lab, with what it has counted.
func (p *plan) draw(views []*view) []byte {
	d := &drawing{plan: p, colours: p.tints(), names: map[netip.Addr]string{}}
	for _, h := range p.hosts {
		for _, a := range h.addrs {
			d.names[a.Addr()] = h.name
		}
	}
	width := max(2*margin+len(views)*(column+gap)-gap, 640)
	y := d.head(width)
	d.bar(y, width)
	y += 44
	// Boxes of hosts are of one height, so that endpoints line up.
	height := 0
	for i, v := range views {
		height = max(height, (&drawing{plan: p, colours: d.colours, names: d.names}).host(i, 0, 0, v))
	}
	bottom := y
	for i, v := range views {
		d.link(i, y, v)
		d.host(i, y+linkLen, height, v)
		bottom = max(bottom, d.endpoints(i, y+linkLen+height, v))
	}
	return d.finish("lab "+p.name, width, bottom+margin)
}

// left is where a host's column begins.
func left(i int) int { return margin + i*(column+gap) }

// head is the title, and a line for each tenant.
func (d *drawing) head(width int) (bottom int) {
	d.text(margin, 48, width, font{size: 24, bold: true, colour: ink}, d.name)
	y := 78
	for _, v := range d.vpcs {
		c := d.colours[v.vni]
		x := margin + d.pill(margin, y-13, 200, fmt.Sprintf("%s · VNI %d", v.name, v.vni), c.strong, c.strong, "#ffffff") + 12
		var says []string
		for _, n := range v.networks {
			by := "known to all"
			if len(n.bouncers) > 0 {
				by = "bounced by " + hostNames(n.bouncers)
			}
			says = append(says, n.prefix.String()+" "+by)
		}
		if len(v.dividers) > 0 {
			says = append(says, "divided by "+hostNames(v.dividers))
		}
		d.text(x, y, width-x-margin, font{size: 13, colour: ink}, strings.Join(says, "  ·  "))
		y += 26
	}
	return y + 6
}

func hostNames(hosts []*host) string {
	var all []string
	for _, h := range hosts {
		all = append(all, h.name)
	}
	return strings.Join(all, ", ")
}

// bar is the underlay.
func (d *drawing) bar(y, width int) {
	d.box(margin, y, width-2*margin, 44, 8, "#334155", "#334155")
	what := "switch"
	if d.routed {
		what = "router"
	}
	d.text(width/2, y+28, width, font{size: 16, bold: true, colour: "#ffffff", anchor: "middle"}, "underlay: "+what)
}

// link is a host's to the underlay, the thicker the more it has carried.
func (d *drawing) link(i, y int, v *view) {
	x := left(i) + inset + 10
	var in, out, bytes uint64
	for _, l := range v.Droplets {
		in, out, bytes = in+l.RxPackets, out+l.TxPackets, bytes+l.RxBytes+l.TxBytes
	}
	d.line(x, y, x, y+linkLen, "#334155", 2+math.Log10(1+float64(bytes))*0.7)
	at, w := x+18, column-inset-28
	y += 6
	for _, a := range v.Addresses {
		y += 18
		d.text(at, y, w, font{size: 13, bold: true, colour: ink}, a.String())
	}
	if len(v.Droplets) > 0 {
		l := v.Droplets[0]
		y += 18
		d.text(at, y, w, font{size: 12, colour: faint}, fmt.Sprintf("%s · %s · MTU %d", l.Interface, modeName(l.Mode), l.MTU))
	}
	d.text(at, y+19, w, font{size: 12, colour: ink}, fmt.Sprintf("↓ %s · ↑ %s packets · %s",
		amount(in, ""), amount(out, ""), amount(bytes, "B")))
}

func modeName(mode string) string {
	if mode == "native" || mode == "generic" {
		return mode + " XDP"
	}
	return mode
}

// host is its box: roles, what it has learned, and counters. It tells how high that is.
func (d *drawing) host(i, top, height int, v *view) int {
	x, y, w := left(i)+inset, top+30, column-2*inset
	if height > 0 {
		d.box(left(i), top, column, height, 10, paper, rule)
	}
	d.text(x, y, w, font{size: 17, bold: true, colour: ink}, v.Host)
	y += 10
	for _, r := range d.roles(v.Host) {
		c := d.colours[r.vni]
		d.pill(x, y, w, r.says, c.pale, c.strong, c.strong)
		y += 23
	}
	for n, l := range v.Learned {
		if n == 6 {
			d.text(x+14, y+13, w, font{size: 12, colour: faint}, fmt.Sprintf("and %d more", len(v.Learned)-n))
			y += 18
			break
		}
		d.box(x, y+5, 8, 8, 4, d.colours[l.VNI].strong, "none")
		d.text(x+14, y+13, w-14, font{size: 12, colour: ink}, fmt.Sprintf("%s learned at %s", l.Address, d.names[l.Host]))
		y += 18
	}
	y += 6
	for _, c := range v.Counters {
		if c.Packets > 0 {
			y = d.counter(x, y, w, c)
		}
	}
	return y + 8 - top
}

// counter is a line: the name of a verdict or of a reason to drop, and how often.
func (d *drawing) counter(x, y, w int, c counterView) (bottom int) {
	colour, behind := ink, "#dde7f0"
	if c.Drop {
		colour, behind = danger, "#f8dedb"
	}
	d.box(x-4, y, 6+int(math.Min(1, math.Log10(1+float64(c.Packets))/8)*float64(w)), 17, 3, behind, "none")
	d.text(x, y+13, w-70, font{size: 11, colour: colour}, words(c.Reason))
	d.text(x+w, y+13, 70, font{size: 11, bold: true, colour: colour, anchor: "end"}, amount(c.Packets, ""))
	return y + 20
}

// words makes some of a constant's name.
func words(reason string) string {
	return strings.NewReplacer("_", " ", "vpc", "VPC", "mac", "MAC").Replace(strings.ToLower(reason))
}

// role is what a host is to a tenant.
type role struct {
	vni  uint32
	says string
}

func (d *drawing) roles(name string) []role {
	is := func(h *host) bool { return h.name == name }
	var all []role
	for _, v := range d.vpcs {
		if slices.ContainsFunc(v.dividers, is) {
			all = append(all, role{v.vni, "divides " + v.name})
		}
		var bounced []string
		for _, n := range v.networks {
			if slices.ContainsFunc(n.bouncers, is) {
				bounced = append(bounced, n.prefix.String())
			}
		}
		if bounced != nil {
			all = append(all, role{v.vni, "bounces " + strings.Join(bounced, ", ")})
		}
	}
	return all
}

// endpoints are the cards that hang below a host.
func (d *drawing) endpoints(i, top int, v *view) (bottom int) {
	trunk, x, w := left(i)+inset+10, left(i)+inset+28, column-inset-28
	y := top + 18
	for _, l := range v.Local {
		c, high := d.colours[l.VNI], 56+18*len(l.Addresses)
		d.line(trunk, top, trunk, y+high/2, c.strong, 2)
		d.line(trunk, y+high/2, x, y+high/2, c.strong, 2)
		top = y + high/2
		d.box(x, y, w, high, 8, c.pale, c.strong)
		d.box(x, y, 7, high, 3, c.strong, "none")
		name := font{size: 14, bold: true, colour: c.strong}
		d.text(x+18, y+22, w-26, name, l.Interface)
		if room := w - 40 - name.width(l.Interface); room > 60 {
			d.text(x+w-12, y+22, room, font{size: 11, colour: faint, anchor: "end"}, fmt.Sprintf("%s · MTU %d", modeName(l.Mode), l.MTU))
		}
		for i, a := range l.Addresses {
			d.text(x+18, y+42+18*i, w-26, font{size: 12, colour: ink}, a.String())
		}
		d.text(x+18, y+high-13, w-26, font{size: 12, colour: ink}, fmt.Sprintf("↓ %s · ↑ %s · %s",
			amount(l.RxPackets, ""), amount(l.TxPackets, ""), amount(l.RxBytes+l.TxBytes, "B")))
		y += high + 12
	}
	return y
}
