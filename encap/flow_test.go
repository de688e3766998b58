// SPDX-License-Identifier: Apache-2.0

package encap_test

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/mizar-go/mizar/encap"
	"github.com/mizar-go/mizar/internal/packet"
)

// The port is the flow's: what does not tell flows apart does not change it, and what does mostly does.
func TestSourcePort(t *testing.T) {
	eth := packet.Eth(packet.MAC(1), packet.MAC(2))
	v4 := eth.IPv4(packet.Endpoint4(1), packet.Endpoint4(2))
	v6 := eth.IPv6(packet.Endpoint6(1), packet.Endpoint6(2))
	for _, c := range []struct {
		name string
		a, b packet.Packet
		same bool
	}{
		{"payload", v4.UDP(1, 2).Payload(10), v4.UDP(1, 2).Payload(20), true},
		{"TTL", v4.UDP(1, 2), v4.UDP(1, 2).With(packet.TTL(3)), true},
		{"VLAN tag", v4.TCP(1, 2), eth.VLAN(9).IPv4(packet.Endpoint4(1), packet.Endpoint4(2)).TCP(1, 2), true},
		{"first fragment and later ones", v4.UDP(1, 2).With(packet.MoreFragments()), v4.UDP(3, 4).With(packet.FragmentOffset(64)), true},
		{"ports", v4.UDP(1, 2), v4.UDP(1, 3), false},
		{"protocol", v4.UDP(1, 2), v4.TCP(1, 2), false},
		{"ports of IPv6", v6.TCP(1, 2), v6.TCP(3, 2), false},
		{"address", v4.UDP(1, 2), eth.IPv4(packet.Endpoint4(1), packet.Endpoint4(3)).UDP(1, 2), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := encap.SourcePort(c.a.Build(t)), encap.SourcePort(c.b.Build(t))
			if c.same {
				assert.Equal(t, a, b)
			} else {
				assert.NotEqual(t, a, b)
			}
		})
	}
}

// As the programs of the host compute it, whose words are in its own order.
func TestSourcePortIsThatOfThePrograms(t *testing.T) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the numbers are those of a little-endian host")
	}
	eth := packet.Eth(packet.MAC(1), packet.MAC(2))
	a4, b4, a6, b6 := addr("192.0.2.1"), addr("198.51.100.2"), addr("2001:db8::1"), addr("2001:db8::2")
	assert.Equal(t, uint16(55570), encap.SourcePort(eth.IPv4(a4, b4).UDP(1000, 2000).Payload(9).Build(t)))
	assert.Equal(t, uint16(60846), encap.SourcePort(eth.IPv6(a6, b6).TCP(1000, 80).Build(t)))
	assert.Equal(t, uint16(56117), encap.SourcePort(eth.IPv4(a4, b4).ICMP(8, 0).Build(t)))
}

func TestSourcePortOfAnything(t *testing.T) {
	whole := packet.Eth(packet.MAC(1), packet.MAC(2)).VLAN(7).IPv6(packet.Endpoint6(1), packet.Endpoint6(2)).UDP(1, 2).Build(t)
	for n := range whole {
		assert.GreaterOrEqual(t, encap.SourcePort(whole[:n]), uint16(49152))
	}
}
