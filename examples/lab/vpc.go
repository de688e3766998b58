// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"
	"slices"

	"github.com/mizar-go/mizar/droplet"
	"github.com/mizar-go/mizar/endpoint"
)

func (p *parsing) readVPC(e entry, vnis map[uint32]string) {
	v := &vpc{name: e.key.Value}
	what := "VPC " + v.name
	f := p.fields(e.key, e.value, what, "vni!", "dividers", "networks!", "endpoints")
	v.vni = uint32(p.number(f["vni"], "VNI of "+what, 1, maxVNI))
	if other, ok := vnis[v.vni]; ok && v.vni != 0 {
		p.wrong(f["vni"], "%s: VNI %d is that of VPC %s", what, v.vni, other)
	}
	vnis[v.vni] = v.name
	v.dividers = p.hostsOf(f["dividers"], "dividers of "+what)
	for _, e := range p.entries(f["networks"], "networks of "+what) {
		p.readNetwork(e, v)
	}
	for _, e := range p.entries(f["endpoints"], "endpoints of "+what) {
		p.readEndpoint(e, v)
	}
	p.plan.vpcs = append(p.plan.vpcs, v)
}

func (p *parsing) readNetwork(e entry, v *vpc) {
	what := "network " + e.key.Value + " of VPC " + v.name
	f := p.fields(e.key, e.value, what, "bouncers")
	n := &network{bouncers: p.hostsOf(f["bouncers"], "bouncers of "+what)}
	var ok bool
	if n.prefix, ok = p.prefix(e.key, what); !ok {
		return
	}
	switch a := n.prefix.Addr(); {
	case n.prefix != n.prefix.Masked():
		p.wrong(e.key, "%s: bits are set beyond its length: %s is meant", what, n.prefix.Masked())
		return
	case n.prefix.Bits() == 0:
		p.wrong(e.key, "%s: endpoints need a prefix that is not all there is", what)
		return
	case !p.usable(e.key, what, a):
		return
	case slices.ContainsFunc(v.networks, func(o *network) bool { return o.prefix == n.prefix }):
		p.wrong(e.key, "%s: it is there already", what)
		return
	}
	v.networks = append(v.networks, n)
}

func (p *parsing) readEndpoint(e entry, v *vpc) {
	w := &place{name: e.key.Value}
	p.name(e.key, "endpoint", maxEndpoint)
	what := "endpoint " + w.name
	f := p.fields(e.key, e.value, what, "host!", "addresses!", "mtu", "mode")
	if n := f["host"]; n != nil {
		if w.host = p.hosts[n.Value]; w.host == nil {
			p.wrong(n, "%s: there is no host %q", what, n.Value)
		}
	}
	for _, n := range p.addresses(f["addresses"], what) {
		if a, ok := p.addr(n, what); ok {
			p.place(n, what, w, a, v)
		}
	}
	least := minMTU4
	if has6(w.addrs) {
		least = minMTU6
	}
	w.mtu = p.number(f["mtu"], "MTU of "+what, least, maxMTU)
	if w.mode = endpoint.Mode(p.mode(f["mode"], what)); w.mode == endpoint.Native && w.host != nil && w.host.mode != droplet.Native {
		p.wrong(f["mode"], "%s: mode native, and that of its host %s is not", what, w.host.name)
	}
	v.places = append(v.places, w)
}

// place gives an endpoint an address of its VPC, with the length of the network that it is in.
func (p *parsing) place(n node, what string, w *place, a netip.Addr, v *vpc) {
	in := v.network(a)
	if in == nil {
		p.wrong(n, "%s: %s is in no network of VPC %s", what, a, v.name)
		return
	}
	for _, o := range append(v.places, w) {
		if slices.ContainsFunc(o.addrs, func(b netip.Prefix) bool { return b.Addr() == a }) {
			p.wrong(n, "%s: %s is endpoint %s's already", what, a, o.name)
			return
		}
	}
	if p.within(n, what, a, in.prefix) {
		w.addrs = append(w.addrs, netip.PrefixFrom(a, in.prefix.Bits()))
	}
}
