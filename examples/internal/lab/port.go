// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// Port is the end at a host of a workload's interface.
type Port struct {
	Ifindex int              // in the host's namespace
	MAC     net.HardwareAddr // the workload's
	MTU     int              // of both ends, bytes
}

// Plug gives a namespace an interface eth0 with an address and a default route, and its other end to the
// host. The data-plane's own way is endpoint.Manager's Create, which does more.
func (h *Host) Plug(workload *Namespace, name string, addr netip.Prefix, mtu int) (_ Port, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("plug %s into host %s: %w", workload.Name, h.Name, err)
		}
	}()
	if err := h.Wire(name, workload, "eth0", mtu); err != nil {
		return Port{}, err
	}
	if err := errors.Join(
		h.Sysctl("ipv6/conf/"+name+"/disable_ipv6", "1"),
		h.Up(name),
		workload.Assign("eth0", addr),
		workload.Up("eth0"),
	); err != nil {
		return Port{}, err
	}
	outer, err := h.netlink.LinkByName(name)
	if err != nil {
		return Port{}, err
	}
	inner, err := workload.netlink.LinkByName("eth0")
	if err != nil {
		return Port{}, err
	}
	err = workload.netlink.RouteAdd(&netlink.Route{LinkIndex: inner.Attrs().Index, Scope: netlink.SCOPE_LINK,
		Dst: &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}})
	return Port{outer.Attrs().Index, inner.Attrs().HardwareAddr, mtu}, err
}
