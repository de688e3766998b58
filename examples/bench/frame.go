// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"net"
	"net/netip"

	"github.com/mizar-go/mizar/encap"
)

// plainFrame is a datagram in an Ethernet frame.
func plainFrame(from, to net.HardwareAddr, source, destination netip.Addr, port uint16, payload []byte) []byte {
	b := append(append([]byte(nil), to...), from...)
	b = append(b, 0x08, 0x00)
	ip := len(b)
	b = append(b, 0x45, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(20+8+len(payload)))
	b = append(b, 0, 0, 0x40, 0, 64, 17, 0, 0) // do not fragment; TTL 64; UDP
	b = append(append(b, source.AsSlice()...), destination.AsSlice()...)
	binary.BigEndian.PutUint16(b[ip+10:], checksum(b[ip:ip+20]))
	b = binary.BigEndian.AppendUint16(b, 50000)
	b = binary.BigEndian.AppendUint16(b, port)
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(payload)))
	return append(append(b, 0, 0), payload...)
}

// tunnelFrame is what a bouncer gets from the host at source: a datagram of one endpoint to another.
func tunnelFrame(from, to net.HardwareAddr, source, bouncer, endpoint netip.Addr) ([]byte, error) {
	back, err := encap.ReturnToSender{Host: source, Hops: encap.MaxHops}.Option(encap.OptionClass)
	if err != nil {
		return nil, err
	}
	payload, err := encap.Header{VNI: vni, Options: []encap.Option{back}}.MarshalBinary()
	if err != nil {
		return nil, err
	}
	payload = append(payload, plainFrame(
		net.HardwareAddr{2, 0, 0, 0, 0, 1}, net.HardwareAddr{2, 0, 0, 0, 0, 2},
		workloadAddr(0).Addr(), endpoint, 9, make([]byte, datagram))...)
	return plainFrame(from, to, source, bouncer, encap.Port, payload), nil
}

// checksum is the internet's (RFC 1071), of an even number of bytes whose own is still zero.
func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
