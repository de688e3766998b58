// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"net/netip"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// Offsets in a frame without IP options or VLAN tag.
const (
	etherType     = 12
	ipDestination = 30
	frameEnd      = 34 // of what the programs read
)

// xdpProgram loads a program for XDP. Its first argument is in R1, as the kernel passes it.
func xdpProgram(name string, body asm.Instructions) (*ebpf.Program, error) {
	return ebpf.NewProgram(&ebpf.ProgramSpec{Name: name, Type: ebpf.XDP, License: "Dual BSD/GPL", Instructions: body})
}

// data puts the packet's start in R2, and jumps to short if it has less than n bytes.
func data(n int, short string) asm.Instructions {
	return asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, 0, asm.Word), // xdp_md.data
		asm.LoadMem(asm.R3, asm.R1, 4, asm.Word), // xdp_md.data_end
		asm.Mov.Reg(asm.R4, asm.R2),
		asm.Add.Imm(asm.R4, int32(n)),
		asm.JGT.Reg(asm.R4, asm.R3, short),
	}
}

func verdict(act int32, label string) asm.Instructions {
	return asm.Instructions{asm.Mov.Imm(asm.R0, act).WithSymbol(label), asm.Return()}
}

const (
	xdpDrop = 1
	xdpPass = 2
	xdpTX   = 3
)

// swapMACs is the floor of all forwarding: it swaps the MAC addresses of IPv4 frames and transmits.
func swapMACs() (*ebpf.Program, error) {
	return xdpProgram("swap", join(
		data(frameEnd, "pass"),
		ipv4Only("pass"),
		asm.Instructions{
			asm.LoadMem(asm.R3, asm.R2, 0, asm.Word),
			asm.LoadMem(asm.R4, asm.R2, 4, asm.Half),
			asm.LoadMem(asm.R5, asm.R2, 6, asm.Half),
			asm.LoadMem(asm.R6, asm.R2, 8, asm.Word),
			asm.StoreMem(asm.R2, 0, asm.R5, asm.Half),
			asm.StoreMem(asm.R2, 2, asm.R6, asm.Word),
			asm.StoreMem(asm.R2, 6, asm.R3, asm.Word),
			asm.StoreMem(asm.R2, 10, asm.R4, asm.Half),
		},
		verdict(xdpTX, ""),
		verdict(xdpPass, "pass"),
	))
}

// counting counts IPv4 packets to an address in the first entry of a map, and drops them. The kernel gets
// the rest: it has neighbours to resolve.
func counting(count *ebpf.Map, to netip.Addr) (*ebpf.Program, error) {
	return xdpProgram("count", join(
		data(frameEnd, "pass"),
		ipv4Only("pass"),
		asm.Instructions{
			asm.LoadMem(asm.R3, asm.R2, ipDestination, asm.Word),
			asm.JNE.Imm32(asm.R3, int32(binary.NativeEndian.Uint32(to.AsSlice())), "pass"),
			asm.Mov.Imm(asm.R3, 0),
			asm.StoreMem(asm.RFP, -4, asm.R3, asm.Word),
			asm.Mov.Reg(asm.R2, asm.RFP),
			asm.Add.Imm(asm.R2, -4),
			asm.LoadMapPtr(asm.R1, count.FD()),
			asm.FnMapLookupElem.Call(),
			asm.JEq.Imm(asm.R0, 0, "drop"),
			asm.LoadMem(asm.R1, asm.R0, 0, asm.DWord),
			asm.Add.Imm(asm.R1, 1),
			asm.StoreMem(asm.R0, 0, asm.R1, asm.DWord),
		},
		verdict(xdpDrop, "drop"),
		verdict(xdpPass, "pass"),
	))
}

// ipv4Only jumps to other with all that is not IPv4.
func ipv4Only(other string) asm.Instructions {
	return asm.Instructions{
		asm.LoadMem(asm.R3, asm.R2, etherType, asm.Half),
		asm.JNE.Imm(asm.R3, int32(binary.NativeEndian.Uint16([]byte{0x08, 0x00})), other),
	}
}

// generating writes a frame, whose length is a multiple of four, and sends it out of an interface. The
// kernel hands it the same pages over and over, as others have left them.
func generating(frame []byte, ifindex int) (*ebpf.Program, error) {
	body := data(len(frame), "drop")
	for i := 0; i < len(frame); i += 4 {
		body = append(body, asm.StoreImm(asm.R2, int16(i), int64(int32(binary.NativeEndian.Uint32(frame[i:]))), asm.Word))
	}
	return xdpProgram("generate", join(
		body,
		asm.Instructions{
			asm.Mov.Imm(asm.R1, int32(ifindex)),
			asm.Mov.Imm(asm.R2, 0),
			asm.FnRedirect.Call(),
			asm.Return(),
		},
		verdict(xdpDrop, "drop"),
	))
}

func join(parts ...asm.Instructions) (all asm.Instructions) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}
