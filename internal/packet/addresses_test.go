// SPDX-License-Identifier: Apache-2.0

package packet_test

import (
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/mizar-go/mizar/internal/packet"
)

func TestAddresses(t *testing.T) {
	for prefix, a := range map[string]netip.Addr{
		"192.0.2.0/24":        packet.Host4(9),
		"198.51.100.0/24":     packet.Endpoint4(9),
		"203.0.113.0/24":      packet.Other4(9),
		"2001:db8:0:1::/64":   packet.Host6(9),
		"2001:db8:0:2::/64":   packet.Endpoint6(9),
		"2001:db8:0:3::/64":   packet.Other6(9),
		"ff02::1:ff00:0/104":  packet.SolicitedNode(packet.Host6(9)),
		"ff02::1:ff00:9/128":  packet.SolicitedNode(packet.Endpoint6(9)),
		"2001:db8:0:1::9/128": packet.Host6(9),
		"192.0.2.9/32":        packet.Host4(9),
	} {
		assert.True(t, netip.MustParsePrefix(prefix).Contains(a), "%v in %s", a, prefix)
	}
	assert.Equal(t, netip.MustParseAddr("::ffff:192.0.2.9"), packet.Mapped(packet.Host4(9)))
	assert.Equal(t, net.HardwareAddr{0x33, 0x33, 0xff, 0, 0, 9}, packet.MulticastMAC(packet.SolicitedNode(packet.Host6(9))))
	assert.Equal(t, net.HardwareAddr{1, 0, 0x5e, 1, 2, 3}, packet.MulticastMAC(netip.MustParseAddr("224.129.2.3")))
	assert.Equal(t, net.HardwareAddr{0, 0, 0x5e, 0, 0x53, 9}, packet.MAC(9))
}
