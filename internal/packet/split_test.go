// SPDX-License-Identifier: Apache-2.0

package packet_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/internal/packet"
)

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		name   string
		p      packet.Packet
		header int // bytes before what is split
	}{
		{"IPv4", frame4().UDP(1000, 2000).Payload(3000), 34},
		{"IPv4 behind a tag", packet.Eth(packet.MAC(1), packet.MAC(2)).VLAN(9).
			IPv4(packet.Endpoint4(1), packet.Endpoint4(2)).UDP(1000, 2000).Payload(3000), 38},
		{"IPv6", frame6().UDP(1000, 2000).Payload(3000), 54},
		{"IPv6 with options", frame6().DestinationOptions().TCP(1000, 2000).Payload(3000), 54},
		{"discovery", solicit(packet.NDOption(14, make([]byte, 2000)...)), 54},
	} {
		t.Run(c.name, func(t *testing.T) {
			whole := c.p.Build(t)
			inside := whole[c.header:]
			fragments := c.p.Split(t, 1024, 5)
			require.Len(t, fragments, (len(inside)+1023)/1024)
			var got []byte
			for i, f := range fragments {
				d, err := packet.Decode(f.Build(t))
				require.NoError(t, err)
				require.NoError(t, d.Verify())
				require.NotNil(t, d.Outer.Fragment)
				assert.Equal(t, packet.Piece{Offset: len(got), More: i < len(fragments)-1, ID: 5}, *d.Outer.Fragment)
				if d.Outer.IPv6 != nil {
					assert.Equal(t, whole[14+7], d.Outer.IPv6.HopLimit)
				}
				header := c.header
				if d.Outer.IPv6 != nil {
					header += 8
				}
				got = append(got, d.Outer.Bytes[header:]...)
			}
			assert.Equal(t, inside, got)
		})
	}
}

// What says which protocol follows is the whole packet's, also in later fragments.
func TestSplitProtocol(t *testing.T) {
	for _, f := range frame4().UDP(1, 2).Payload(100).Split(t, 64, 5) {
		assert.EqualValues(t, packet.ProtocolUDP, f.Build(t)[14+9])
	}
	for _, f := range frame6().UDP(1, 2).Payload(100).Split(t, 64, 5) {
		assert.EqualValues(t, packet.ProtocolFragment, f.Build(t)[14+6])
		assert.EqualValues(t, packet.ProtocolUDP, f.Build(t)[14+40])
	}
}
