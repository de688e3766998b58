// SPDX-License-Identifier: Apache-2.0

package afxdp

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/internal/ethtool"
)

// What the program makes of a packet whose queue has no socket.
const (
	xdpDrop = 1
	xdpPass = 2

	xdpRedirect = 4
)

// NewProgram loads the program that [Open] attaches: it redirects to the sockets in a map, by queue, and
// drops what has none, or passes it on, and counts that in the first entry of a map of 8 bytes for each CPU. It
// serves who attaches it for himself; [Config.Pin] does that. It is the caller's to close.
func NewProgram(sockets, unclaimed *ebpf.Map, pass bool) (*ebpf.Program, error) {
	if sockets == nil || sockets.Type() != ebpf.XSKMap {
		return nil, fmt.Errorf("load program: %w", invalid("sockets: not a map of them"))
	}
	if unclaimed == nil || unclaimed.Type() != ebpf.PerCPUArray || unclaimed.ValueSize() != 8 {
		return nil, fmt.Errorf("load program: %w", invalid("unclaimed: not a map of counts"))
	}
	otherwise := int32(xdpDrop)
	if pass {
		otherwise = xdpPass
	}
	const queue = 16 // xdp_md.rx_queue_index
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name:    "mizar_function",
		Type:    ebpf.XDP,
		Flags:   unix.BPF_F_XDP_HAS_FRAGS,
		License: "Dual BSD/GPL",
		Instructions: asm.Instructions{
			asm.LoadMem(asm.R2, asm.R1, queue, asm.Word),
			asm.LoadMapPtr(asm.R1, sockets.FD()),
			asm.Mov.Imm(asm.R3, otherwise), // 5.3: what the helper returns where there is no socket
			asm.FnRedirectMap.Call(),
			asm.JEq.Imm(asm.R0, xdpRedirect, "done"),
			asm.Mov.Imm(asm.R1, 0),
			asm.StoreMem(asm.RFP, -4, asm.R1, asm.Word),
			asm.LoadMapPtr(asm.R1, unclaimed.FD()),
			asm.Mov.Reg(asm.R2, asm.RFP),
			asm.Add.Imm(asm.R2, -4),
			asm.FnMapLookupElem.Call(),
			asm.JEq.Imm(asm.R0, 0, "otherwise"),
			asm.LoadMem(asm.R1, asm.R0, 0, asm.DWord),
			asm.Add.Imm(asm.R1, 1),
			asm.StoreMem(asm.R0, 0, asm.R1, asm.DWord),
			asm.Mov.Imm(asm.R0, otherwise).WithSymbol("otherwise"),
			asm.Return().WithSymbol("done"),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("load program: %w", explain(err))
	}
	return p, nil
}

func newMap(queues int) (*ebpf.Map, error) {
	m, err := ebpf.NewMap(&ebpf.MapSpec{
		Name: "mizar_sockets", Type: ebpf.XSKMap, KeySize: 4, ValueSize: 4, MaxEntries: uint32(queues),
	})
	if err != nil {
		return nil, fmt.Errorf("create map of sockets: %w", explain(err))
	}
	return m, nil
}

func newCount() (*ebpf.Map, error) {
	m, err := ebpf.NewMap(&ebpf.MapSpec{
		Name: "mizar_unclaimed", Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: 8, MaxEntries: 1,
	})
	if err != nil {
		return nil, fmt.Errorf("create map of counts: %w", explain(err))
	}
	return m, nil
}

// attach attaches the program in the mode that was asked for, or in the better one that the driver has, and
// says which and why.
func attach(p *ebpf.Program, dev netlink.Link, mode bpf.Mode) (link.Link, bpf.Mode, string, error) {
	name := dev.Attrs().Name
	if mode != bpf.Auto {
		l, err := attachXDP(p, dev, mode)
		return l, mode, fmt.Sprintf("%s was asked for", mode), err
	}
	l, err := attachXDP(p, dev, bpf.Native)
	if err == nil {
		return l, bpf.Native, fmt.Sprintf("the driver of %s, %s, has native XDP", name, driver(dev)), nil
	}
	if !errors.Is(err, bpf.ErrNotSupported) {
		return nil, bpf.Auto, "", err
	}
	why := fmt.Sprintf("the driver of %s, %s, refused native XDP", name, driver(dev))
	l, err = attachXDP(p, dev, bpf.Generic)
	return l, bpf.Generic, why, err
}

func attachXDP(p *ebpf.Program, dev netlink.Link, mode bpf.Mode) (link.Link, error) {
	flags := link.XDPDriverMode
	if mode == bpf.Generic {
		flags = link.XDPGenericMode
	}
	l, err := link.AttachXDP(link.XDPOptions{Program: p, Interface: dev.Attrs().Index, Flags: flags})
	if err == nil {
		return l, nil
	}
	// The last is for an MTU that the driver's XDP does not take.
	if is(err, unix.EOPNOTSUPP, unix.EINVAL, unix.ERANGE) {
		return nil, fmt.Errorf("attach %s XDP to %s (driver %s, MTU %d): %w: %w",
			mode, dev.Attrs().Name, driver(dev), dev.Attrs().MTU, bpf.ErrNotSupported, err)
	}
	return nil, fmt.Errorf("attach %s XDP to %s: %w", mode, dev.Attrs().Name, explain(err))
}

// driver names the driver of a device for a message.
func driver(dev netlink.Link) string {
	if name, err := ethtool.Driver(dev.Attrs().Name); err == nil {
		return name
	}
	return dev.Type()
}
