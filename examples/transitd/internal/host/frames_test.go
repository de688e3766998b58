// SPDX-License-Identifier: Apache-2.0

package host

import (
	"encoding/binary"
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/encap"
)

// datagram is a frame of UDP. Checksums are nobody's business here.
func datagram(from, to net.HardwareAddr, src, dst netip.Addr, sport, dport uint16, payload []byte) []byte {
	udp := binary.BigEndian.AppendUint16(nil, sport)
	udp = binary.BigEndian.AppendUint16(udp, dport)
	udp = binary.BigEndian.AppendUint16(udp, uint16(8+len(payload)))
	udp = append(append(udp, 0, 0), payload...)
	b := append(append([]byte(nil), to...), from...)
	if src.Is4() {
		b = append(b, 0x08, 0, 0x45, 0)
		b = binary.BigEndian.AppendUint16(b, uint16(20+len(udp)))
		b = append(b, 0, 0, 0x40, 0, 64, 17, 0, 0)
	} else {
		b = append(b, 0x86, 0xdd, 0x60, 0, 0, 0)
		b = binary.BigEndian.AppendUint16(b, uint16(len(udp)))
		b = append(b, 17, 64)
	}
	b = append(append(b, src.AsSlice()...), dst.AsSlice()...)
	return append(b, udp...)
}

// tunneled has a frame in a tunnel packet. A sender: it came by way of another host, or so it says.
func tunneled(t testing.TB, from, to netip.Addr, vni uint32, sender netip.Addr, frame []byte) []byte {
	t.Helper()
	h := encap.Header{VNI: vni}
	if sender.IsValid() {
		o, err := encap.ReturnToSender{Host: sender, Hops: encap.MaxHops}.Option(encap.OptionClass)
		require.NoError(t, err)
		h.Options = append(h.Options, o)
	}
	payload, err := h.MarshalBinary()
	require.NoError(t, err)
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 1}
	return datagram(mac, mac, from, to, 50000, encap.Port, append(payload, frame...))
}

// destinationOf reads the address that a frame goes to.
func destinationOf(frame []byte) netip.Addr {
	if frame[12] == 0x86 {
		return netip.AddrFrom16([16]byte(frame[38:54]))
	}
	return netip.AddrFrom4([4]byte(frame[30:34]))
}
