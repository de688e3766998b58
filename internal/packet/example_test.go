// SPDX-License-Identifier: Apache-2.0

package packet_test

import (
	"fmt"

	"github.com/mizar-go/mizar/internal/packet"
)

// A whole tunnel packet, and what is in it.
func Example() {
	b := packet.Eth(packet.MAC(3), packet.MAC(4)).
		IPv4(packet.Host4(1), packet.Host4(2), packet.DontFragment()).
		UDP(49152, 6081).
		Geneve(7, packet.RTS(packet.Host4(1), 4)).
		Eth(packet.MAC(1), packet.MAC(2)).
		IPv6(packet.Endpoint6(1), packet.Endpoint6(2)).
		TCP(1000, 80, packet.TCPFlags(packet.SYN)).
		Bytes()

	d, err := packet.Decode(b)
	if err != nil {
		fmt.Println(err)
		return
	}
	known, _ := d.Known()
	fmt.Println(d.VNI, d.Outer.Source, "->", d.Outer.Destination, "by", known.ReturnToSender.Host)
	fmt.Println(d.Inner.Source, "->", d.Inner.Destination, d.Inner.TCP.DstPort, d.Inner.TCP.SYN)
	fmt.Println(d.Verify())
	// Output:
	// 7 192.0.2.1 -> 192.0.2.2 by 192.0.2.1
	// 2001:db8:0:2::1 -> 2001:db8:0:2::2 80(http) true
	// <nil>
}

// A table of mutations starts from a packet that is valid.
func ExamplePacket_Inner() {
	valid := packet.Eth(packet.MAC(3), packet.MAC(4)).
		Tunnel(packet.Host6(1), packet.Host6(2), 7).
		Eth(packet.MAC(1), packet.MAC(2)).IPv4(packet.Endpoint4(1), packet.Endpoint4(2)).UDP(1000, 2000).Payload(100)
	for _, c := range []struct {
		name string
		p    packet.Packet
	}{
		{"none", valid},
		{"inner IHL", valid.Inner(packet.IHL(4))},
		{"inner total length", valid.Inner(packet.TotalLength(500))},
		{"inner cut in its IP header", valid.Inner(packet.Keep(14 + 19))},
		{"outer UDP length", valid.Outer(packet.UDPLength(500))},
		{"an option that goes on into the frame", valid.Outer(packet.Option(1, 2, 3), packet.OptionLength(9))},
	} {
		_, err := packet.Decode(c.p.Bytes())
		fmt.Println(c.name+":", err)
	}
	// Output:
	// none: <nil>
	// inner IHL: decode packet: inner: IPv4: Invalid (too small) IP header length (4 < 5)
	// inner total length: decode packet: inner: IPv4: cut short
	// inner cut in its IP header: decode packet: inner: IPv4: Invalid ip4 header. Length 19 less than 20
	// outer UDP length: decode packet: UDP: cut short
	// an option that goes on into the frame: decode packet: geneve: 40 bytes of options in 8
}
