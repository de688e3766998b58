// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/mizar-go/mizar/droplet"
	"github.com/mizar-go/mizar/endpoint"
	"github.com/mizar-go/mizar/examples/internal/lab"
)

const (
	underlay = "underlay" // the name of its namespace
	maxMTU   = 65535
	minMTU4  = 576
	minMTU6  = 1280
	maxVNI   = 1<<24 - 1
	maxHosts = 64 // in a set of bouncers or dividers

	maxName     = 19 // of a lab: with a host's, and a hyphen, no longer than a data-plane's, 32
	maxHostName = 12 // with to- no longer than an interface's, 15
	maxEndpoint = 15 // an interface's
)

var aName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]*$`)

// nameOf is the lab's name that a file gives by its own.
func nameOf(file string) string {
	base := filepath.Base(file)
	return strings.TrimSuffix(base, filepath.Ext(base))
}

func checkName(name string) error {
	if !aName.MatchString(name) || len(name) > maxName {
		return fmt.Errorf("lab's name %q: not 1 to %d letters, digits, - and _", name, maxName)
	}
	return nil
}

// parsing is a plan under way.
type parsing struct {
	*reader
	plan  *plan
	mtu   int
	hosts map[string]*host
	names map[string]int // of namespaces → their lines
}

// parse reads what a file says. Its errors are all its mistakes, one a line: file:line: reason.
func parse(file, name, text string) (*plan, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	p := &parsing{
		reader: &reader{file: file},
		plan:   &plan{name: name},
		hosts:  map[string]*host{},
		names:  map[string]int{underlay: 0},
	}
	root, err := p.document(text)
	if err != nil {
		return nil, err
	}
	top := p.fields(root, root, "lab", "underlay", "hosts!", "vpcs")
	p.readUnderlay(top["underlay"])
	links := map[netip.Prefix]node{}
	for _, e := range p.entries(top["hosts"], "hosts") {
		p.readHost(e, links)
	}
	vnis := map[uint32]string{}
	for _, e := range p.entries(top["vpcs"], "vpcs") {
		p.readVPC(e, vnis)
	}
	if len(p.plan.hosts) == 0 && len(p.mistakes) == 0 {
		p.wrong(root, "no host")
	}
	return p.plan, p.err()
}

func (p *parsing) readUnderlay(n node) {
	f := p.fields(n, n, underlay, "kind", "mtu")
	p.plan.routed = choice(p.reader, f["kind"], "kind of underlay", []string{"switched", "routed"}, []bool{false, true})
	p.mtu = 1500
	if m := f["mtu"]; m != nil {
		p.mtu = p.number(m, "MTU of the underlay", minMTU6+endpoint.Overhead(false), maxMTU)
	}
}

// name checks the name of a host or an endpoint: namespaces and interfaces are called so.
func (p *parsing) name(key node, what string, longest int) bool {
	name := key.Value
	switch {
	case !aName.MatchString(name) || len(name) > longest:
		p.wrong(key, "%s %q: a name has 1 to %d letters, digits, - and _", what, name, longest)
	case slices.Contains([]string{"all", "default", "lo", lab.Uplink}, name) || strings.HasPrefix(name, "mz"):
		p.wrong(key, "%s %q: the name is taken by an interface of the host", what, name)
	default:
		if line, ok := p.names[name]; ok && line == 0 {
			p.wrong(key, "%s %q: the name is taken by the underlay", what, name)
		} else if ok {
			p.wrong(key, "%s %q: the name is taken on line %d", what, name, line)
		} else {
			p.names[name] = key.Line
			return true
		}
	}
	return false
}

func (p *parsing) readHost(e entry, links map[netip.Prefix]node) {
	h := &host{name: e.key.Value}
	p.name(e.key, "host", maxHostName)
	what := "host " + h.name
	f := p.fields(e.key, e.value, what, "addresses!", "mtu", "mode")
	for _, n := range p.addresses(f["addresses"], what) {
		if a, ok := p.prefix(n, what); ok && p.usable(n, what, a.Addr()) && p.within(n, what, a.Addr(), a) &&
			p.onLink(n, what, h, a, links) {
			h.addrs = append(h.addrs, a)
		}
	}
	h.mode = p.mode(f["mode"], what)
	if h.mtu = p.mtu; f["mtu"] != nil {
		h.mtu = p.number(f["mtu"], "MTU of "+what, minMTU6+endpoint.Overhead(has6(h.addrs)), maxMTU)
		if !p.plan.routed && h.mtu != 0 && h.mtu != p.mtu {
			p.wrong(f["mtu"], "%s: MTU %d, and the underlay's is %d: a switch cannot tell who sends too much", what, h.mtu, p.mtu)
		}
	} else if least := minMTU6 + endpoint.Overhead(has6(h.addrs)); h.mtu != 0 && h.mtu < least {
		p.wrong(e.key, "%s: the underlay's MTU of %d is less than tunnels over IPv6 take: %d", what, h.mtu, least)
	}
	p.family(f["addresses"], what, h)
	p.plan.hosts = append(p.plan.hosts, h)
	p.hosts[h.name] = h
}

// family checks that the first host can send to a host's first address.
func (p *parsing) family(n node, what string, h *host) {
	if n == nil || len(h.addrs) == 0 || len(h.addrs) != len(n.Content) || len(p.plan.hosts) == 0 {
		return // other mistakes come first
	}
	if first := p.plan.hosts[0]; len(first.addrs) > 0 && first.addr().Is4() != h.addr().Is4() {
		p.wrong(n, "%s: its first address is %s, and that of host %s is %s: tunnels between them need one family",
			what, h.addr(), first.name, first.addr())
	}
}

// onLink checks that an address is fit for the underlay: hosts on a switch share a prefix, and behind a
// router each has its own, with an address left for the router.
func (p *parsing) onLink(n node, what string, h *host, a netip.Prefix, links map[netip.Prefix]node) bool {
	for _, o := range append(p.plan.hosts, h) {
		if slices.ContainsFunc(o.addrs, func(b netip.Prefix) bool { return a.Addr() == b.Addr() }) {
			p.wrong(n, "%s: %s is host %s's already", what, a.Addr(), o.name)
			return false
		}
	}
	for _, o := range h.addrs {
		if o.Addr().Is4() == a.Addr().Is4() {
			p.wrong(n, "%s: one address of a family, and %s is there", what, o.Addr())
			return false
		}
	}
	if p.plan.routed && a.Bits() > a.Addr().BitLen()-2 {
		p.wrong(n, "%s: %s leaves no address for the router", what, a)
		return false
	}
	if p.plan.routed && a.Addr() == gateway(a) {
		p.wrong(n, "%s: %s is the router's", what, a.Addr())
		return false
	}
	for l, at := range links {
		switch {
		case p.plan.routed && l.Overlaps(a):
			p.wrong(n, "%s: %s overlaps with %s on line %d: behind a router each host has a network of its own",
				what, a.Masked(), l, at.Line)
			return false
		case !p.plan.routed && l.Addr().Is4() == a.Addr().Is4() && l != a.Masked():
			p.wrong(n, "%s: %s is not in %s as on line %d: hosts on a switch share one network", what, a, l, at.Line)
			return false
		}
	}
	if links[a.Masked()] == nil {
		links[a.Masked()] = n
	}
	return true
}

// gateway is the router's address on the link of a host: the first.
func gateway(a netip.Prefix) netip.Addr { return a.Masked().Addr().Next() }

func (p *parsing) mode(n node, what string) droplet.Mode {
	return choice(p.reader, n, "mode of "+what, []string{"auto", "tcx", "native", "generic"},
		[]droplet.Mode{droplet.Auto, droplet.TCX, droplet.Native, droplet.Generic})
}

// hostsOf reads a list of hosts' names.
func (p *parsing) hostsOf(n node, what string) []*host {
	var all []*host
	for _, n := range p.items(n, what) {
		switch h := p.hosts[n.Value]; {
		case h == nil:
			p.wrong(n, "%s: there is no host %q", what, n.Value)
		case slices.Contains(all, h):
			p.wrong(n, "%s: host %s is there twice", what, n.Value)
		default:
			all = append(all, h)
		}
	}
	if len(all) > maxHosts {
		p.wrong(n, "%s: %d, and there may be %d", what, len(all), maxHosts)
	}
	return all
}

func has6(addrs []netip.Prefix) bool {
	return slices.ContainsFunc(addrs, func(a netip.Prefix) bool { return a.Addr().Is6() })
}
