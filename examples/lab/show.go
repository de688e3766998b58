// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"text/tabwriter"
)

// show prints a lab as it is: as text, JSON or SVG.
func show(ctx context.Context, out io.Writer, name, form string) error {
	if !slices.Contains([]string{"text", "json", "svg"}, form) {
		return errUsage
	}
	if err := checkName(name); err != nil {
		return err
	}
	text, err := read(name)
	if err != nil {
		return err
	}
	p, err := parse(statePath(name), name, text)
	if err != nil {
		return err
	}
	views, err := p.look(ctx)
	if err != nil {
		return err
	}
	for _, v := range views {
		v.sort()
	}
	switch form {
	case "json":
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(struct {
			Lab      string  `json:"lab"`
			Underlay string  `json:"underlay"`
			Hosts    []*view `json:"hosts"`
		}{p.name, p.kind(), views})
	case "svg":
		_, err := out.Write(p.draw(views))
		return err
	}
	return p.print(out, views)
}

func (p *plan) kind() string {
	if p.routed {
		return "routed"
	}
	return "switched"
}

// sort has everything that tables yield in no order.
func (v *view) sort() {
	slices.SortFunc(v.VPCs, func(a, b vpcView) int { return cmp.Compare(a.VNI, b.VNI) })
	slices.SortFunc(v.Networks, func(a, b networkView) int {
		return cmp.Or(after(a.VNI, b.VNI, a.Prefix.Addr(), b.Prefix.Addr()), a.Prefix.Bits()-b.Prefix.Bits())
	})
	slices.SortFunc(v.Endpoints, func(a, b endpointView) int { return after(a.VNI, b.VNI, a.Address, b.Address) })
	slices.SortFunc(v.Learned, func(a, b learnedView) int { return after(a.VNI, b.VNI, a.Address, b.Address) })
	slices.SortFunc(v.Local, func(a, b interfaceView) int {
		return cmp.Or(cmp.Compare(a.VNI, b.VNI), strings.Compare(a.Interface, b.Interface))
	})
	for _, l := range v.Local {
		slices.SortFunc(l.Addresses, netip.Addr.Compare)
	}
	slices.SortFunc(v.Paths, func(a, b pathView) int { return a.Host.Compare(b.Host) })
}

func after(vniA, vniB uint32, a, b netip.Addr) int {
	return cmp.Or(cmp.Compare(vniA, vniB), a.Compare(b))
}

// print writes tables for people.
func (p *plan) print(out io.Writer, views []*view) error {
	names := map[netip.Addr]string{}
	for _, h := range p.hosts {
		for _, a := range h.addrs {
			names[a.Addr()] = h.name
		}
	}
	hosts := func(addrs []netip.Addr) string {
		var all []string
		for _, a := range addrs {
			all = append(all, names[a])
		}
		if all == nil {
			return "none"
		}
		return strings.Join(all, ", ")
	}
	tenants := map[uint32]string{}
	for _, v := range p.vpcs {
		tenants[v.vni] = fmt.Sprintf("%s (%d)", v.name, v.vni)
	}
	fmt.Fprintf(out, "lab %s: %s underlay\n", p.name, p.kind())
	for _, v := range views {
		fmt.Fprintf(out, "\nhost %s: %s\n", v.Host, list(v.Addresses))
		w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
		row := func(columns ...string) { fmt.Fprintln(w, "  "+strings.Join(columns, "\t")) }
		for _, d := range v.Droplets {
			row("droplet", d.Interface, fmt.Sprintf("%s, MTU %d", d.Mode, d.MTU), d.traffic())
		}
		for _, l := range v.Local {
			row("endpoint", l.Interface, fmt.Sprintf("%s, MTU %d", l.Mode, l.MTU), l.traffic(), tenants[l.VNI], list(l.Addresses))
		}
		row("peers", list(v.Peers))
		for _, c := range v.VPCs {
			row("VPC", tenants[c.VNI], "dividers: "+hosts(c.Dividers))
		}
		for _, n := range v.Networks {
			row("network", tenants[n.VNI], n.Prefix.String(), "bouncers: "+hosts(n.Bouncers))
		}
		for _, e := range v.Endpoints {
			if e.Host.IsValid() {
				row("elsewhere", tenants[e.VNI], e.Address.String(), "host: "+names[e.Host])
			}
		}
		for _, l := range v.Learned {
			row("learned", tenants[l.VNI], l.Address.String(), fmt.Sprintf("host: %s, %.1f s ago", names[l.Host], l.Idle))
		}
		for _, path := range v.Paths {
			if path.MTU != 0 {
				row("path", names[path.Host], fmt.Sprintf("MTU %d", path.MTU))
			}
		}
		for _, c := range v.Counters {
			row("counter", c.Reason, fmt.Sprintf("%d packets", c.Packets), fmt.Sprintf("%d bytes", c.Bytes))
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	return nil
}

func (i *interfaceView) traffic() string {
	return fmt.Sprintf("in %d packets, %d bytes; out %d packets, %d bytes", i.RxPackets, i.RxBytes, i.TxPackets, i.TxBytes)
}
