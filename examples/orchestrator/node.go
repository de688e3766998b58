// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/endpoint"
	"github.com/mizar-go/mizar/examples/internal/lab"
	"github.com/mizar-go/mizar/maps"
)

// node is a host with one endpoint, and the data-plane between.
type node struct {
	*lab.Host
	workload *lab.Namespace
	addr     netip.Prefix // of the endpoint
	tables   *bpf.Tables
	maps     *maps.Tables // the same, typed
	programs *bpf.Programs
	links    []link.Link
}

// newNode makes a host and starts its data-plane. Also when it fails, the node is the caller's to close.
func newNode(underlay *lab.Switch, name string, host, addr netip.Prefix) (n *node, err error) {
	n = &node{addr: addr}
	if n.Host, err = underlay.Host(name, host); err != nil {
		return n, err
	}
	if n.workload, err = lab.NewNamespace("endpoint " + addr.Addr().String()); err != nil {
		return n, err
	}
	for _, step := range []func() error{n.load, n.settings, n.droplet, n.endpoint} {
		if err := step(); err != nil {
			return n, fmt.Errorf("host %s: %w", name, err)
		}
	}
	return n, nil
}

// load makes the tables, loads the programs against them, and wires the agents' tail calls to transit.
func (n *node) load() (err error) {
	if n.tables, err = bpf.NewTables(bpf.Limits{Endpoints: 1024}); err != nil {
		return err
	}
	if n.maps, err = maps.Open(n.tables); err != nil {
		return err
	}
	if n.programs, err = bpf.LoadPrograms(n.tables); err != nil {
		return err
	}
	return n.programs.WireTransit()
}

// settings go in before the first packet. Route lookups start at a device that forwards: the loopback will
// do, and lets no packet through this host.
func (n *node) settings() error {
	if err := n.Sysctl("ipv4/conf/lo/forwarding", "1"); err != nil {
		return err
	}
	lo, err := n.device("lo")
	if err != nil {
		return err
	}
	return n.maps.Settings.Put(maps.Settings{
		FIBIfindex:  lo.Index,
		Port:        maps.DefaultPort,
		OptionClass: maps.OptionClass,
		DirectAge:   30 * time.Second,
		PathAge:     10 * time.Minute,
	})
}

// droplet has transit see what comes in from the underlay.
func (n *node) droplet() error {
	dev, err := n.device(lab.Uplink)
	if err != nil {
		return err
	}
	if err := n.maps.Peers.Put(maps.Peer{Prefix: netip.PrefixFrom(n.Addr, 24).Masked()}); err != nil {
		return err
	}
	if err := n.maps.Droplets.Put(maps.Droplet{
		Ifindex: dev.Index,
		Addrs:   []netip.Addr{n.Addr},
		MAC:     dev.HardwareAddr,
		MTU:     dev.MTU,
	}); err != nil {
		return err
	}
	return n.attach(dev.Index, n.programs.TransitTCX)
}

// endpoint has the agent see what the workload sends, and then says that it lives here.
func (n *node) endpoint() error {
	uplink, err := n.device(lab.Uplink)
	if err != nil {
		return err
	}
	port, err := n.Plug(n.workload, "endpoint", n.addr, uplink.MTU-endpoint.Overhead(false))
	if err != nil {
		return err
	}
	if err := n.maps.VPCs.Put(maps.VPC{VNI: vni}); err != nil {
		return err
	}
	if err := n.maps.Agents.Put(maps.Agent{
		Ifindex:   port.Ifindex,
		VNI:       vni,
		MAC:       port.MAC,
		MTU:       port.MTU,
		PeerNetNS: true,
	}); err != nil {
		return err
	}
	if err := n.attach(port.Ifindex, n.programs.AgentTCX); err != nil {
		return err
	}
	return n.maps.Endpoints.Put(maps.Endpoint{VNI: vni, Addr: n.addr.Addr(), Ifindex: port.Ifindex})
}

// attach puts a program at an interface's ingress, for as long as the link is open.
func (n *node) attach(ifindex int, program *ebpf.Program) error {
	return n.Do(func() error {
		l, err := link.AttachTCX(link.TCXOptions{Interface: ifindex, Program: program, Attach: ebpf.AttachTCXIngress})
		if err != nil {
			return err
		}
		n.links = append(n.links, l)
		return nil
	})
}

func (n *node) device(name string) (dev *net.Interface, err error) {
	err = n.Do(func() error {
		dev, err = net.InterfaceByName(name)
		return err
	})
	return dev, err
}

// close takes down what there is, the last made first.
func (n *node) close() (err error) {
	for _, l := range n.links {
		err = errors.Join(err, l.Close())
	}
	if n.programs != nil {
		err = errors.Join(err, n.programs.Close())
	}
	if n.maps != nil {
		err = errors.Join(err, n.maps.Close())
	}
	if n.tables != nil {
		err = errors.Join(err, n.tables.Close())
	}
	if n.workload != nil {
		err = errors.Join(err, n.workload.Close())
	}
	if n.Host != nil {
		err = errors.Join(err, n.Host.Close())
	}
	return err
}
