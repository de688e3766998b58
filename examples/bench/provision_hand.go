// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"net"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/mizar-go/mizar/endpoint"
	"github.com/mizar-go/mizar/examples/internal/lab"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// byNetlink makes what an endpoint consists of, as far as the kernel sees it: a veth pair, the workload's
// end with an address and a default route, and a program at the host's. Nothing checks or remembers it.
type byNetlink struct {
	host     *lab.Namespace
	workload netns.NsHandle
	here     *netlink.Handle // in the host's namespace
	there    *netlink.Handle // in the workload's
	program  *ebpf.Program
	index    int // of the host's end
	link     link.Link
	undo     undo
}

func newHand(s *stage) (_ *byNetlink, err error) {
	h := &byNetlink{host: s.host}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.close())
		}
	}()
	if h.workload, err = netns.GetFromPath(s.workloads[0].Path()); err != nil {
		return nil, err
	}
	h.undo.push(h.workload.Close)
	if h.there, err = netlink.NewHandleAt(h.workload, unix.NETLINK_ROUTE); err != nil {
		return nil, err
	}
	h.undo.push(func() error { h.there.Close(); return nil })
	host, err := netns.GetFromPath(s.host.Path())
	if err != nil {
		return nil, err
	}
	defer host.Close()
	if h.here, err = netlink.NewHandleAt(host, unix.NETLINK_ROUTE); err != nil {
		return nil, err
	}
	h.undo.push(func() error { h.here.Close(); return nil })
	h.program, err = ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "hand", Type: ebpf.SchedCLS, License: "Dual BSD/GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	if err != nil {
		return nil, err
	}
	h.undo.push(h.program.Close)
	return h, nil
}

func (h *byNetlink) create() error {
	mtu := standardMTU - endpoint.Overhead(true)
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.Index = hostPort, mtu, 1<<20
	veth := netlink.NewVeth(attrs)
	veth.PeerName, veth.PeerNamespace, veth.PeerMTU = workloadPort, netlink.NsFd(h.workload), uint32(mtu)
	if err := h.here.LinkAdd(veth); err != nil {
		return err
	}
	h.index = attrs.Index
	eth, err := h.there.LinkByName(workloadPort)
	if err != nil {
		return err
	}
	addr := workloadAddr(0)
	if err := h.there.AddrAdd(eth, &netlink.Addr{IPNet: &net.IPNet{IP: addr.Addr().AsSlice(), Mask: net.CIDRMask(16, 32)}}); err != nil {
		return err
	}
	if err := h.host.Do(func() (err error) {
		h.link, err = link.AttachTCX(link.TCXOptions{Interface: h.index, Program: h.program, Attach: ebpf.AttachTCXIngress})
		return err
	}); err != nil {
		return err
	}
	return errors.Join(
		h.here.LinkSetUp(veth),
		h.there.LinkSetUp(eth),
		h.there.RouteAdd(&netlink.Route{LinkIndex: eth.Attrs().Index, Scope: netlink.SCOPE_LINK,
			Dst: &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}}),
	)
}

func (h *byNetlink) delete() (err error) {
	if h.link != nil {
		err = h.link.Close()
		h.link = nil
	}
	if h.index == 0 {
		return err
	}
	l := &netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: h.index}}
	h.index = 0
	return errors.Join(err, h.here.LinkDel(l))
}

// close takes down also what was left half made.
func (h *byNetlink) close() error {
	return errors.Join(h.delete(), h.undo.run())
}
