// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"

	"github.com/mizar-go/mizar/maps"
)

// What a host is told of a VPC: as little as will do, so that bouncers and dividers have something to do.

// concerns tells whether a host has an endpoint of the VPC, or a role in it.
func (v *vpc) concerns(h *host) bool {
	return v.has(h) || slices.Contains(v.dividers, h) ||
		slices.ContainsFunc(v.networks, func(n *network) bool { return slices.Contains(n.bouncers, h) })
}

func (v *vpc) has(h *host) bool {
	return slices.ContainsFunc(v.places, func(e *place) bool { return e.host == h })
}

func (v *vpc) row() maps.VPC {
	return maps.VPC{VNI: v.vni, Dividers: addrsOf(v.dividers)}
}

// networksFor are all for a divider, and for everybody where there is none. Others know those of their own
// endpoints, and those that they bounce for.
func (v *vpc) networksFor(h *host) []maps.Network {
	var rows []maps.Network
	for _, n := range v.networks {
		own := slices.ContainsFunc(v.places, func(e *place) bool { return e.host == h && v.in(e, n) })
		if len(n.bouncers) == 0 || !own && len(v.dividers) != 0 && !slices.Contains(v.dividers, h) &&
			!slices.Contains(n.bouncers, h) {
			continue
		}
		rows = append(rows, maps.Network{VNI: v.vni, Prefix: n.prefix, Bouncers: addrsOf(n.bouncers)})
	}
	return rows
}

// endpointsFor are those that live elsewhere: of the networks that the host bounces for, and of those that
// nobody does.
func (v *vpc) endpointsFor(h *host) []maps.Endpoint {
	var rows []maps.Endpoint
	for _, e := range v.places {
		for _, a := range e.addrs {
			n := v.network(a.Addr())
			if e.host != h && (len(n.bouncers) == 0 || slices.Contains(n.bouncers, h)) {
				rows = append(rows, maps.Endpoint{VNI: v.vni, Addr: a.Addr(), Host: e.host.addr()})
			}
		}
	}
	return rows
}

// in tells whether an endpoint has an address in a network.
func (v *vpc) in(e *place, n *network) bool {
	for _, a := range e.addrs {
		if v.network(a.Addr()) == n {
			return true
		}
	}
	return false
}
