// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"net"

	"github.com/mizar-go/mizar/examples/internal/lab"
	"github.com/vishvananda/netlink"
)

const (
	bridge        = "bridge"
	vxlanOverhead = 50 // over IPv4: 20 IP, 8 UDP, 8 VXLAN, 14 Ethernet
)

// buildPair is the least there can be between two namespaces.
func buildPair(_ context.Context, p *path, mtu int) error {
	return errors.Join(
		p.client.Wire(workloadPort, p.server, workloadPort, mtu),
		p.client.Assign(workloadPort, workloadAddr(0)),
		p.server.Assign(workloadPort, workloadAddr(1)),
		lab.Connect(p.client, workloadPort, p.server, workloadPort),
	)
}

// buildBridges is the same way through the hosts as with an overlay, without one.
func buildBridges(_ context.Context, p *path, mtu int) error {
	if err := p.addHosts(mtu, false); err != nil {
		return err
	}
	for _, h := range p.hosts {
		if err := errors.Join(h.Bridge(bridge), h.Enslave(uplink, bridge)); err != nil {
			return err
		}
	}
	return p.plugIntoBridges(mtu)
}

// buildVXLAN has the bridges joined by a tunnel, as `ip link add type vxlan` makes it.
func buildVXLAN(_ context.Context, p *path, mtu int) error {
	if err := p.addHosts(mtu, true); err != nil {
		return err
	}
	for i, h := range p.hosts {
		if err := h.Bridge(bridge); err != nil {
			return err
		}
		if err := h.Do(func() error { return addVXLAN(i, mtu-vxlanOverhead) }); err != nil {
			return err
		}
		if err := errors.Join(h.Enslave("vxlan", bridge), h.Up("vxlan")); err != nil {
			return err
		}
	}
	return p.plugIntoBridges(mtu - vxlanOverhead)
}

func addVXLAN(host, mtu int) error {
	l, err := netlink.LinkByName(uplink)
	if err != nil {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = "vxlan", mtu
	return netlink.LinkAdd(&netlink.Vxlan{
		LinkAttrs:    attrs,
		VxlanId:      vni,
		VtepDevIndex: l.Attrs().Index,
		SrcAddr:      net.IP(hostAddr(host).Addr().AsSlice()),
		Group:        net.IP(hostAddr(1 - host).Addr().AsSlice()),
		Learning:     true,
		Port:         4789,
	})
}

// plugIntoBridges gives each workload an interface at its host's bridge.
func (p *path) plugIntoBridges(mtu int) error {
	for i, w := range []*lab.Namespace{p.client, p.server} {
		h := p.hosts[i]
		if err := errors.Join(
			h.Wire(hostPort, w, workloadPort, mtu),
			h.Enslave(hostPort, bridge),
			w.Assign(workloadPort, workloadAddr(i)),
			lab.Connect(h, hostPort, w, workloadPort),
		); err != nil {
			return err
		}
	}
	return nil
}
