// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
)

// daemonFile is the configuration of a host's daemon.
func daemonFile(dir string, h place) string {
	return fmt.Sprintf(`name: %[1]s
stateDir: %[2]s/%[3]s/state
limits: {endpoints: 1024, directs: 16384, paths: 16384}
listen:
  unix: {path: %[2]s/%[3]s/transitd.sock}
  tcp:
    - address: %[4]s:%[5]d
      cert: %[2]s/host-%[3]s.crt
      key: %[2]s/host-%[3]s.key
      clientCA: %[2]s/ca.crt
      roles:
        - {identity: "uri:%[6]s", role: write}
        - {identity: "uri:%[7]s", role: read}
`, instance(h.name), dir, h.name, h.at.Addr(), port, operator, auditor)
}

// stateFile is what a host shall be like, for transitctl apply.
func stateFile(h place) string {
	var b strings.Builder
	fmt.Fprintf(&b, "peers: [{prefix: %s}]\ndroplets: [{interface: uplink}]\n", underlay)
	b.WriteString("vpcs:\n")
	for _, t := range tenants {
		fmt.Fprintf(&b, "  - {vni: %d} # %s\n", t.vni, t.name)
	}
	b.WriteString("networks:\n")
	for _, t := range tenants {
		for _, prefix := range []string{"10.0.0.0/24", "2001:db8::/64"} {
			fmt.Fprintf(&b, "  - {vni: %d, prefix: %q, bouncers: [%s]}\n", t.vni, prefix, bouncer)
		}
	}
	if h.at.Addr().String() == bouncer {
		b.WriteString(bouncerEndpoints())
	} else {
		b.WriteString(localEndpoints(h))
	}
	return b.String()
}

// bouncerEndpoints are all workloads: the bouncer is who knows where they live.
func bouncerEndpoints() string {
	var b strings.Builder
	b.WriteString("endpoints:\n")
	for _, t := range tenants {
		for i, w := range homes {
			for _, addr := range []string{w.v4.String(), w.v6.String()} {
				fmt.Fprintf(&b, "  - {vni: %d, address: %q, host: %s}\n", t.vni, addr, hosts[i].at.Addr())
			}
		}
	}
	return b.String()
}

// localEndpoints are the workloads of a host.
func localEndpoints(h place) string {
	var b strings.Builder
	b.WriteString("localEndpoints:\n")
	for _, t := range tenants {
		for _, w := range homes {
			if w.host == h.name {
				fmt.Fprintf(&b, "  - {vni: %d, addresses: [%s/24, %q], netns: %s, hostInterface: %s}\n",
					t.vni, w.v4, w.v6.String()+"/64", namespace(t.name, h.name), t.name)
			}
		}
	}
	return b.String()
}
