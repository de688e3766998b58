// SPDX-License-Identifier: Apache-2.0

package encap_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/encap"
)

// Each is a good header but for one thing.
var malformed = []struct {
	name string
	wire string
	want error
}{
	{"nothing", "", encap.ErrShort},
	{"header without its last byte", "0000 6558 000007", encap.ErrShort},
	{"options without their last byte", "0200 6558 000007 00 0102 03 01 040506", encap.ErrShort},
	{"options missing", "3f00 6558 000007 00", encap.ErrShort},
	{"version 1", "4000 6558 000007 00", encap.ErrVersion},
	{"version 2", "8000 6558 000007 00", encap.ErrVersion},
	{"version 3", "c000 6558 000007 00", encap.ErrVersion},
	{"no protocol", "0000 0000 000007 00", encap.ErrProtocol},
	{"option beyond the options, in the frame", "0200 6558 000007 00 0102 03 02 04050607 08090a0b", encap.ErrOptionLength},
	{"option beyond the options and the frame", "0200 6558 000007 00 0102 03 1f 04050607", encap.ErrOptionLength},
	{"second option beyond the options", "0300 6558 000007 00 0102 03 01 04050607 0102 04 01 08090a0b", encap.ErrOptionLength},
}

func TestDecodeMalformed(t *testing.T) {
	for _, c := range malformed {
		t.Run(c.name, func(t *testing.T) {
			h, payload, err := encap.Decode(wire(t, c.wire))
			require.ErrorIs(t, err, c.want)
			assert.Zero(t, h)
			assert.Nil(t, payload)
		})
	}
}

func TestDecodeEveryCut(t *testing.T) {
	b, err := encap.Header{VNI: 7, Options: []encap.Option{
		option(t, encap.ReturnToSender{Host: addr("192.0.2.1"), Hops: 4}), {Class: 1, Type: 2, Data: words(3)},
	}}.AppendBinary(nil)
	require.NoError(t, err)
	for n := range b {
		_, _, err := encap.Decode(b[:n])
		require.ErrorIs(t, err, encap.ErrShort, "%d of %d bytes", n, len(b))
	}
	_, _, err = encap.Decode(b)
	require.NoError(t, err)
}

func TestReservedBitsAreIgnored(t *testing.T) {
	h, _, err := encap.Decode(wire(t, "023f 6558 000007 ff 0102 03 e1 04050607"))
	require.NoError(t, err)
	assert.Equal(t, encap.Header{VNI: 7, Protocol: encap.ProtocolEthernet,
		Options: []encap.Option{{Class: 0x0102, Type: 3, Data: []byte{4, 5, 6, 7}}}}, h)
}

// Appending to an option's data does not write over what follows it in the packet.
func TestOptionDataIsCapped(t *testing.T) {
	b := wire(t, "0300 6558 000007 00 0102 03 01 04050607 0102 04 00")
	h, _, err := encap.Decode(b)
	require.NoError(t, err)
	h.Options[0].Data = append(h.Options[0].Data, 0xff)
	assert.Equal(t, byte(1), b[16])
}
