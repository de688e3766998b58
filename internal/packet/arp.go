// SPDX-License-Identifier: Apache-2.0

package packet

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
)

type arp struct {
	hardware, protocol             uint16
	hardwareLength, protocolLength uint8
	op                             uint16
	senderMAC, targetMAC           net.HardwareAddr
	sender, target                 netip.Addr
}

// ARPField is a field of an ARP packet.
type ARPField = fieldOf[arp]

// ARPHardware sets the hardware type, 1 (Ethernet) otherwise.
func ARPHardware(t uint16) ARPField { return func(h *arp) { h.hardware = t } }

// ARPProtocol sets the protocol, [TypeIPv4] otherwise.
func ARPProtocol(t uint16) ARPField { return func(h *arp) { h.protocol = t } }

// ARPLengths sets the lengths of addresses, 6 and 4 otherwise. The addresses stay as long as they are.
func ARPLengths(hardware, protocol uint8) ARPField {
	return func(h *arp) { h.hardwareLength, h.protocolLength = hardware, protocol }
}

// ARPOperation sets the operation: 1 request, 2 reply.
func ARPOperation(op uint16) ARPField { return func(h *arp) { h.op = op } }

// ARPSender sets who sends.
func ARPSender(mac net.HardwareAddr, a netip.Addr) ARPField {
	return func(h *arp) { h.senderMAC, h.sender = mac, a }
}

// ARPTarget sets who is asked for or told.
func ARPTarget(mac net.HardwareAddr, a netip.Addr) ARPField {
	return func(h *arp) { h.targetMAC, h.target = mac, a }
}

// ARPRequest asks for target's MAC.
func (p Packet) ARPRequest(mac net.HardwareAddr, sender, target netip.Addr, fields ...ARPField) Packet {
	return p.arp(1, mac, sender, make(net.HardwareAddr, 6), target, fields)
}

// ARPReply tells target that sender is at mac.
func (p Packet) ARPReply(mac net.HardwareAddr, sender netip.Addr, targetMAC net.HardwareAddr, target netip.Addr,
	fields ...ARPField) Packet {
	return p.arp(2, mac, sender, targetMAC, target, fields)
}

func (p Packet) arp(op uint16, senderMAC net.HardwareAddr, sender netip.Addr, targetMAC net.HardwareAddr,
	target netip.Addr, fields []ARPField) Packet {
	h := &arp{hardware: 1, protocol: TypeIPv4, hardwareLength: 6, protocolLength: 4, op: op,
		senderMAC: senderMAC, sender: sender, targetMAC: targetMAC, target: target}
	for _, f := range fields {
		f(h)
	}
	return p.add(h)
}

func (h *arp) clone() layer { c := *h; return &c }

func (h *arp) etherType(int) uint16 { return TypeARP }

func (h *arp) encode(_ place, inside []byte) ([]byte, error) {
	if len(h.senderMAC) != 6 || len(h.targetMAC) != 6 || !h.sender.Is4() || !h.target.Is4() {
		return nil, fmt.Errorf("arp: sender %v %v, target %v %v", h.senderMAC, h.sender, h.targetMAC, h.target)
	}
	b := binary.BigEndian.AppendUint16(nil, h.hardware)
	b = binary.BigEndian.AppendUint16(b, h.protocol)
	b = append(b, h.hardwareLength, h.protocolLength)
	b = binary.BigEndian.AppendUint16(b, h.op)
	b = append(b, h.senderMAC...)
	b = append(b, h.sender.AsSlice()...)
	b = append(b, h.targetMAC...)
	b = append(b, h.target.AsSlice()...)
	return append(b, inside...), nil
}
