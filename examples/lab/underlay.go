// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"net/netip"

	"github.com/mizar-go/mizar/examples/internal/lab"
)

const bridge = "switch"

// makeUnderlay makes a switch, or a router, without ports.
func (b *builder) makeUnderlay() (err error) {
	if b.underlay, err = b.namespace(underlay); err != nil {
		return err
	}
	if !b.routed {
		if err := b.underlay.Bridge(bridge); err != nil {
			return err
		}
		return b.made("underlay %s: a switch", b.plan.namespace(underlay))
	}
	if err := errors.Join(
		b.underlay.Sysctl("ipv4/ip_forward", "1"),
		b.underlay.Sysctl("ipv6/conf/all/forwarding", "1"),
	); err != nil {
		return err
	}
	return b.made("underlay %s: a router", b.plan.namespace(underlay))
}

// makeHost makes a host, and plugs it into the underlay.
func (b *builder) makeHost(h *host) error {
	ns, err := b.namespace(h.name)
	if err != nil {
		return err
	}
	port := "to-" + h.name
	if err := b.underlay.Wire(port, ns, lab.Uplink, h.mtu); err != nil {
		return err
	}
	if b.xdp(h) {
		if err := b.underlay.CarryXDP(port); err != nil {
			return err
		}
	}
	if !has6(h.addrs) {
		// Link-local addresses that nobody asked for would only make the host talk.
		if err := ns.Sysctl("ipv6/conf/"+lab.Uplink+"/disable_ipv6", "1"); err != nil {
			return err
		}
	}
	for _, a := range h.addrs {
		if err := ns.Assign(lab.Uplink, a); err != nil {
			return err
		}
		if b.routed {
			if err := b.underlay.Assign(port, netip.PrefixFrom(gateway(a), a.Bits())); err != nil {
				return err
			}
		}
	}
	if !b.routed {
		if err := b.underlay.Enslave(port, bridge); err != nil {
			return err
		}
	}
	if err := lab.Connect(b.underlay, port, ns, lab.Uplink); err != nil {
		return err
	}
	if b.routed {
		for _, a := range h.addrs {
			everywhere := netip.PrefixFrom(a.Addr(), 0).Masked()
			if err := ns.Route(lab.Uplink, everywhere, gateway(a)); err != nil {
				return err
			}
		}
	}
	return b.made("host %s: %s, MTU %d", b.plan.namespace(h.name), list(h.addrs), h.mtu)
}
