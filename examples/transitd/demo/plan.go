// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/netip"
	"os"
)

const (
	underlay = "192.0.2.0/24"
	bouncer  = "192.0.2.3"
	port     = 7443 // of the daemons

	operator = "spiffe://example.org/operator"
	auditor  = "spiffe://example.org/auditor"
)

// hosts are where daemons run. The last is the bouncer.
var hosts = []place{
	{"a", netip.MustParsePrefix("192.0.2.1/24")},
	{"b", netip.MustParsePrefix("192.0.2.2/24")},
	{"c", netip.MustParsePrefix(bouncer + "/24")},
}

// manager is where transitctl runs.
var manager = place{"manager", netip.MustParsePrefix("192.0.2.100/24")}

// place is a host on the underlay.
type place struct {
	name string
	at   netip.Prefix
}

// tenants have the same addresses.
var tenants = []tenant{{"red", 7}, {"blue", 8}}

type tenant struct {
	name string
	vni  uint32
}

// homes are the hosts with workloads, one of each tenant, and its addresses there.
var homes = []home{
	{"a", netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("2001:db8::1")},
	{"b", netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("2001:db8::2")},
}

type home struct {
	host   string
	v4, v6 netip.Addr
}

// unique begins the names of what other programs on this machine see, so that nothing else there has them.
func unique() string { return fmt.Sprintf("demo-%d-", os.Getpid()) }

// instance is the name of a host's data-plane.
func instance(host string) string { return unique() + host }

// namespace is the name of a workload's.
func namespace(tenant, host string) string { return unique() + tenant + "-" + host }

// hostname is as the host's certificate has it.
func hostname(host string) string { return "host-" + host }
