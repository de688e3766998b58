// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"net"
	"net/netip"

	"github.com/cilium/ebpf/link"
	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/examples/internal/lab"
	"github.com/mizar-go/mizar/maps"
)

// forwarding is what the measurement of forwarders is called in flags.
const forwarding = "forward"

// Names of forwarders that goals speak of.
const (
	dropper  = "drop"
	swapper  = "swap"
	kernelIP = "ip_forward"
	bouncing = "bouncer"
)

// forwarder is a way for a host to send on what comes in, out of the interface that it came in by.
type forwarder struct {
	name, title string
	build       func(ctx context.Context, h *hub) error
}

func forwarders() []forwarder {
	return []forwarder{
		{dropper, "XDP that only drops", buildDrop},
		{swapper, "XDP that only swaps MACs", buildSwap},
		{kernelIP, "kernel ip_forward", buildForward},
		{bouncing, "mizar bouncer, native XDP", buildBouncer},
	}
}

// hub is a host that forwards, and what is at the other end of its only wire.
type hub struct {
	of        forwarder
	host, far *lab.Namespace
	near, end *net.Interface // of the host, and the far end
	frame     []byte         // what comes in
	back      netip.Addr     // where that goes, once forwarded
	swallow   bool           // it is not: what comes in counts
	undo      *undo
}

// next is the address at the far end that packets go on to. Where they come from is another.
func (h *hub) next() netip.Addr { return hostAddr(2).Addr() }

// newHub makes the wire and its ends, and the forwarder. Also when it fails, there is something to undo.
func newHub(ctx context.Context, u *undo, f forwarder) (_ *hub, err error) {
	h := &hub{of: f, undo: u}
	if h.host, err = h.undo.namespace("forwarder"); err != nil {
		return nil, err
	}
	if h.far, err = h.undo.namespace("generator"); err != nil {
		return nil, err
	}
	if err := h.far.Wire(uplink, h.host, uplink, 1500); err != nil {
		return nil, err
	}
	// NAPI at the forwarder: XDP frames go nowhere else.
	if err := errors.Join(
		h.host.CarryXDP(uplink),
		h.far.CarryXDP(uplink),
		h.far.Assign(uplink, hostAddr(0)),
		h.far.Assign(uplink, hostAddr(2)),
		h.host.Assign(uplink, hostAddr(1)),
		lab.Connect(h.far, uplink, h.host, uplink),
	); err != nil {
		return nil, err
	}
	if h.near, err = device(h.host); err != nil {
		return nil, err
	}
	if h.end, err = device(h.far); err != nil {
		return nil, err
	}
	return h, f.build(ctx, h)
}

func device(ns *lab.Namespace) (dev *net.Interface, err error) {
	err = ns.Do(func() error {
		dev, err = net.InterfaceByName(uplink)
		return err
	})
	return dev, err
}

// comes has a tunnel packet come in from the far end: the same for all, whatever they look at of it.
func (h *hub) comes(to netip.Addr) (err error) {
	h.frame, err = tunnelFrame(h.end.HardwareAddr, h.near.HardwareAddr, hostAddr(0).Addr(), to, workloadAddr(1).Addr())
	return err
}

// buildDrop shows what the generator gives: all others have its cost, too.
func buildDrop(_ context.Context, h *hub) error {
	h.swallow = true
	h.back = hostAddr(1).Addr()
	return h.comes(h.back)
}

func buildSwap(_ context.Context, h *hub) error {
	program, err := swapMACs()
	if err != nil {
		return err
	}
	defer program.Close()
	h.back = hostAddr(1).Addr()
	return errors.Join(
		h.comes(h.back),
		h.undo.attachXDP(h.host, link.XDPOptions{Program: program, Interface: h.near.Index}),
	)
}

// buildForward has the kernel route to an address behind the far end.
func buildForward(_ context.Context, h *hub) error {
	h.back = netip.AddrFrom4([4]byte{198, 51, 100, 1})
	return errors.Join(
		h.comes(h.back),
		h.host.Sysctl("ipv4/ip_forward", "1"),
		h.host.Sysctl("ipv4/conf/"+uplink+"/send_redirects", "0"),
		h.host.Sysctl("ipv4/conf/all/send_redirects", "0"),
		h.host.Route(uplink, netip.PrefixFrom(h.back, 24).Masked(), h.next()),
	)
}

// buildBouncer has a data-plane bounce from one host at the far end to another.
func buildBouncer(ctx context.Context, h *hub) error {
	h.back = h.next()
	if err := h.comes(hostAddr(1).Addr()); err != nil {
		return err
	}
	dp, err := h.undo.plane(ctx, h.host, bpf.Limits{Endpoints: 1024})
	if err != nil {
		return err
	}
	if err := attach(ctx, dp, bpf.Native); err != nil {
		return err
	}
	return errors.Join(
		dp.VPC.Add(ctx, maps.VPC{VNI: vni}),
		dp.Network.Add(ctx, maps.Network{VNI: vni, Prefix: workloadAddr(0).Masked(), Bouncers: []netip.Addr{hostAddr(1).Addr()}}),
		dp.Endpoint.Add(ctx, maps.Endpoint{VNI: vni, Addr: workloadAddr(1).Addr(), Host: h.next()}),
	)
}

// attachXDP attaches in the driver, for as long as the hub stands.
func (u *undo) attachXDP(ns *lab.Namespace, o link.XDPOptions) error {
	o.Flags = link.XDPDriverMode
	return ns.Do(func() error {
		l, err := link.AttachXDP(o)
		if err != nil {
			return err
		}
		u.push(l.Close)
		return nil
	})
}
