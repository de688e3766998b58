// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"

	"github.com/mizar-go/mizar/droplet"
	"github.com/mizar-go/mizar/endpoint"
	"github.com/mizar-go/mizar/examples/internal/lab"
	"github.com/mizar-go/mizar/maps"
)

// plan is what a file describes.
type plan struct {
	name   string
	routed bool
	hosts  []*host
	vpcs   []*vpc
}

// host has an interface on the underlay, and a data-plane.
type host struct {
	name  string
	addrs []netip.Prefix // the first is what other hosts send to
	mtu   int
	mode  droplet.Mode
}

// vpc is a tenant.
type vpc struct {
	name     string
	vni      uint32
	dividers []*host
	networks []*network
	places   []*place
}

// network is a prefix of a VPC. Without bouncers, every host of the VPC knows its endpoints.
type network struct {
	prefix   netip.Prefix
	bouncers []*host
}

// place is an endpoint's.
type place struct {
	name  string
	host  *host
	addrs []netip.Prefix // with the lengths of their networks
	mtu   int            // 0: what the host's droplet leaves
	mode  endpoint.Mode
}

// namespace is the name of the network namespace of a host or an endpoint; the data-plane of a host has
// the same.
func (p *plan) namespace(of string) string { return p.name + "-" + of }

// namespaces are the names of all, with the underlay's.
func (p *plan) namespaces() []string {
	all := []string{p.namespace(underlay)}
	for _, h := range p.hosts {
		all = append(all, p.namespace(h.name))
	}
	for _, v := range p.vpcs {
		for _, e := range v.places {
			all = append(all, p.namespace(e.name))
		}
	}
	return all
}

func (p *plan) netns(of string) string { return lab.NamePath(p.namespace(of)) }

func (h *host) addr() netip.Addr { return h.addrs[0].Addr() }

func addrsOf(hosts []*host) []netip.Addr {
	var all []netip.Addr
	for _, h := range hosts {
		all = append(all, h.addr())
	}
	return all
}

// xdp tells whether anything on a host runs in XDP, for which its link has to be fit.
func (p *plan) xdp(h *host) bool {
	isXDP := func(m droplet.Mode) bool { return m == droplet.Native || m == droplet.Generic }
	if isXDP(h.mode) {
		return true
	}
	for _, v := range p.vpcs {
		for _, e := range v.places {
			if e.host == h && isXDP(e.mode) {
				return true
			}
		}
	}
	return false
}

// peers are the prefixes that a host takes tunnel packets from.
func (p *plan) peers() []maps.Peer {
	var all []maps.Peer
	for _, h := range p.hosts {
		for _, a := range h.addrs {
			all = append(all, maps.Peer{Prefix: a.Masked()})
		}
	}
	return all
}

// network of a VPC that an address is in, the longest. Nil: in none.
func (v *vpc) network(a netip.Addr) (in *network) {
	for _, n := range v.networks {
		if n.prefix.Contains(a) && (in == nil || n.prefix.Bits() > in.prefix.Bits()) {
			in = n
		}
	}
	return in
}
