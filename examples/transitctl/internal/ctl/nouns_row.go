// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"strings"

	v1 "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// rowNouns are the tables that say who is where.
func rowNouns() []*noun {
	ofVPC := flag{name: "vni", path: "vni", keys: "vpc", usage: "only those of this VPC"}
	noDirect := flag{name: "no-direct-path", path: "no_direct_path", usage: "learn nothing about its addresses"}
	return []*noun{{
		name: "peer", plural: "peers", kind: v1.Kind_KIND_PEER,
		short: "underlay prefixes that tunnel packets are taken from",
		key:   []string{"prefix"}, keyHelp: "PREFIX",
		verb: add, example: "transitctl add peer 192.0.2.0/24",
		columns: []column{col("PREFIX", "prefix")},
		put:     unary((*api).AddPeer), remove: unary((*api).RemovePeer), get: unary((*api).GetPeer), list: unary((*api).ListPeers),
	}, {
		name: "vpc", plural: "vpcs", kind: v1.Kind_KIND_VPC,
		short: "tenants' address spaces",
		key:   []string{"vni"}, keyHelp: "VNI",
		verb: add, example: "transitctl add vpc 7 --divider 192.0.2.1,192.0.2.2",
		flags: []flag{
			{name: "divider", path: "dividers", usage: "underlay addresses of hosts that know its networks"},
			noDirect,
		},
		columns: []column{col("VNI", "vni"), col("DIVIDERS", "dividers"), is("DIRECT-PATH", directPath[*v1.Vpc])},
		put:     unary((*api).AddVpc), remove: unary((*api).RemoveVpc), get: unary((*api).GetVpc), list: unary((*api).ListVpcs),
	}, {
		name: "network", plural: "networks", aliases: []string{"net", "nets"}, kind: v1.Kind_KIND_NETWORK,
		short: "prefixes of VPCs, and who takes what is sent there",
		key:   []string{"vni", "prefix"}, keyHelp: "VNI/PREFIX",
		verb: add, example: "transitctl add network 7/10.0.0.0/24 --bouncer 192.0.2.1",
		flags: []flag{
			{name: "bouncer", path: "bouncers", usage: "underlay addresses of hosts that know its endpoints"},
			{name: "via", path: "via", usage: "address of the endpoint that it is behind"},
			{name: "blackhole", path: "blackhole", usage: "drop what is sent there"},
			noDirect,
		},
		filters: []flag{ofVPC},
		columns: []column{col("VNI", "vni"), col("PREFIX", "prefix"), is("TO", networkTo), is("DIRECT-PATH", directPath[*v1.Network])},
		put:     unary((*api).AddNetwork), remove: unary((*api).RemoveNetwork), get: unary((*api).GetNetwork), list: unary((*api).ListNetworks),
	}, {
		name: "endpoint", plural: "endpoints", aliases: []string{"ep", "eps"}, kind: v1.Kind_KIND_ENDPOINT,
		short: "where addresses of VPCs live, here and on other hosts",
		key:   []string{"vni", "address"}, keyHelp: "VNI/ADDRESS",
		verb: add, example: "transitctl add endpoint 7/10.0.0.2 --at 192.0.2.2",
		flags: []flag{
			{name: "at", path: "host", usage: "underlay address of its host"},
			{name: "mac", path: "mac", usage: "what senders write; one that every host replaces if not given"},
		},
		filters: []flag{ofVPC, {name: "at", path: "host", usage: "only those on the host of this underlay address"}},
		columns: []column{col("VNI", "vni"), col("ADDRESS", "address"), is("HOST", endpointHost), col("MAC", "mac")},
		put:     unary((*api).AddEndpoint), remove: unary((*api).RemoveEndpoint), get: unary((*api).GetEndpoint), list: stream((*api).ListEndpoints),
	}}
}

func directPath[T interface{ GetNoDirectPath() bool }](m T) cell {
	if m.GetNoDirectPath() {
		return cell{text: "no"}
	}
	return cell{text: "yes"}
}

func networkTo(n *v1.Network) cell {
	switch {
	case n.GetBlackhole():
		return cell{text: "blackhole"}
	case n.GetVia() != "":
		return cell{text: "via " + n.GetVia()}
	case len(n.GetBouncers()) == 0:
		return cell{}
	}
	return cell{text: "bouncers " + strings.Join(n.GetBouncers(), ",")}
}

func endpointHost(e *v1.Endpoint) cell {
	if e.GetHost() == "" {
		return cell{text: "here"}
	}
	return cell{text: e.GetHost()}
}
