// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"cmp"
	"strconv"

	v1 "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// plumbingNouns are what the daemon sets up around its endpoints. They have no call to read one.
func plumbingNouns() []*noun {
	return []*noun{{
		name: "bridge", plural: "bridges", kind: v1.Kind_KIND_BRIDGE,
		short: "Linux bridges that the daemon made",
		key:   []string{"name"}, keyHelp: "NAME",
		verb: add, example: "transitctl add bridge br0 --port eth1",
		flags: []flag{
			{name: "mtu", path: "mtu", usage: "in bytes; the kernel's default if not given"},
			{name: "port", path: "ports", usage: "interfaces that become its ports"},
		},
		columns: []column{col("NAME", "name"), col("MTU", "mtu"), col("PORTS", "ports")},
		put:     unary((*api).AddBridge), remove: unary((*api).RemoveBridge), list: unary((*api).ListBridges),
	}, {
		name: "route", plural: "routes", kind: v1.Kind_KIND_ROUTE,
		short: "routes of the host that the daemon made",
		key:   []string{"table", "destination"}, keyHelp: "[TABLE/]PREFIX", readKey: routeKey, showKey: showRouteKey,
		verb: add, example: "transitctl add route 198.51.100.0/24 --via 192.0.2.254",
		flags: []flag{
			{name: "via", path: "via", usage: "the next hop; on link if not given"},
			{name: "interface", path: "interface", usage: "the interface; that of the next hop if not given"},
			{name: "mtu", path: "mtu", usage: "in bytes; the interface's if not given"},
		},
		columns: []column{
			col("DESTINATION", "destination"), col("VIA", "via"), col("INTERFACE", "interface"), is("TABLE", routeTable), col("MTU", "mtu"),
		},
		put: unary((*api).AddRoute), remove: unary((*api).RemoveRoute), list: unary((*api).ListRoutes),
	}, {
		name: "address", plural: "addresses", aliases: []string{"addr", "addrs"}, kind: v1.Kind_KIND_ADDRESS,
		short: "addresses of the host that the daemon gave",
		key:   []string{"interface", "address"}, keyHelp: "INTERFACE/ADDRESS/LENGTH",
		verb: add, example: "transitctl add address br0/10.0.0.254/24",
		columns: []column{col("INTERFACE", "interface"), col("ADDRESS", "address")},
		put:     unary((*api).AddAddress), remove: unary((*api).RemoveAddress), list: unary((*api).ListAddresses),
	}}
}

func routeTable(r *v1.Route) cell {
	if cmp.Or(r.GetTable(), mainTable) == mainTable {
		return cell{text: "main"}
	}
	return cell{text: strconv.Itoa(int(r.GetTable()))}
}
