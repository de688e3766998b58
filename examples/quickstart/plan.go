// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/netip"

	"github.com/mizar-go/mizar/maps"
)

// plan says who is where, and which host is told what. Each is told as little as will do: the bouncer
// alone knows where endpoints live, and the rest is learned from packets.
type plan struct {
	underlay netip.Prefix
	hosts    []string // by name
	at       map[string]netip.Addr
	tenants  []tenant
}

// tenant is a VPC and its endpoints.
type tenant struct {
	name   string
	vni    uint32
	places []place
}

// place is one endpoint's.
type place struct {
	name string
	host string
	addr netip.Prefix // with the length of its network
}

// Each VPC has the front network; red has the back network, too.
const (
	front = "10.0.1.0/24"
	back  = "10.0.2.0/24"
)

func newPlan() plan {
	shared := []place{
		{"a1", "A", netip.MustParsePrefix("10.0.1.1/24")},
		{"a2", "A", netip.MustParsePrefix("10.0.1.2/24")},
		{"b1", "B", netip.MustParsePrefix("10.0.1.3/24")},
	}
	b2 := place{"b2", "B", netip.MustParsePrefix("10.0.2.1/24")}
	return plan{
		underlay: netip.MustParsePrefix("192.0.2.0/24"),
		hosts:    []string{"A", "B", "C", "D"},
		at: map[string]netip.Addr{
			"A": netip.MustParseAddr("192.0.2.1"),
			"B": netip.MustParseAddr("192.0.2.2"),
			"C": netip.MustParseAddr("192.0.2.3"),
			"D": netip.MustParseAddr("192.0.2.4"),
		},
		tenants: []tenant{
			{"red", 7, append(shared[:len(shared):len(shared)], b2)},
			{"blue", 8, shared},
		},
	}
}

// vpc is told to every host: who does not know a network asks D.
func (p plan) vpc(t tenant) maps.VPC {
	return maps.VPC{VNI: t.vni, Dividers: []netip.Addr{p.at["D"]}}
}

// networks are those that a host is told of. C bounces for the front one, and everybody knows. B bounces
// for the back one, where all its endpoints live: B knows, and D.
func (p plan) networks(t tenant, host string) []maps.Network {
	known := []maps.Network{{
		VNI:      t.vni,
		Prefix:   netip.MustParsePrefix(front),
		Bouncers: []netip.Addr{p.at["C"]},
	}}
	if t.name == "red" && (host == "B" || host == "D") {
		known = append(known, maps.Network{
			VNI:      t.vni,
			Prefix:   netip.MustParsePrefix(back),
			Bouncers: []netip.Addr{p.at["B"]},
		})
	}
	return known
}

// remote are the endpoints that a host is told of: only the bouncer, and those of its network.
func (p plan) remote(t tenant, host string) []maps.Endpoint {
	if host != "C" {
		return nil
	}
	var rows []maps.Endpoint
	for _, e := range t.places {
		if netip.MustParsePrefix(front).Contains(e.addr.Addr()) {
			rows = append(rows, maps.Endpoint{VNI: t.vni, Addr: e.addr.Addr(), Host: p.at[e.host]})
		}
	}
	return rows
}
