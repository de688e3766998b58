// SPDX-License-Identifier: Apache-2.0

package encap_test

import (
	"encoding"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/encap"
)

var (
	_ encoding.BinaryAppender  = encap.Header{}
	_ encoding.BinaryMarshaler = encap.Header{}
)

// The bytes are written out by hand, from RFC 8926 and bpf/lib/geneve.h.
var written = []struct {
	name   string
	header encap.Header
	wire   string
}{
	{"plain", encap.Header{VNI: 7, Protocol: encap.ProtocolEthernet}, "0000 6558 000007 00"},
	{"greatest VNI", encap.Header{VNI: encap.MaxVNI, Protocol: encap.ProtocolEthernet}, "0000 6558 ffffff 00"},
	{"control", encap.Header{VNI: 7, Control: true, Protocol: encap.ProtocolEthernet}, "0080 6558 000007 00"},
	{"critical", encap.Header{VNI: 7, Critical: true, Protocol: encap.ProtocolEthernet}, "0040 6558 000007 00"},
	{"IPv6 inside", encap.Header{VNI: 7, Protocol: 0x86dd}, "0000 86dd 000007 00"},
	{"option without data", encap.Header{VNI: 7, Protocol: encap.ProtocolEthernet,
		Options: []encap.Option{{Class: 0x0102, Type: 3, Data: []byte{}}}}, "0100 6558 000007 00 0102 03 00"},
	{"two options", encap.Header{VNI: 7, Protocol: encap.ProtocolEthernet, Options: []encap.Option{
		{Class: 0x0102, Type: 3, Data: []byte{4, 5, 6, 7}},
		{Class: 0xff4d, Type: 0x7f, Data: []byte{8, 9, 10, 11, 12, 13, 14, 15}},
	}}, "0500 6558 000007 00 0102 03 01 04050607 ff4d 7f 02 08090a0b 0c0d0e0f"},
	{"critical option", encap.Header{VNI: 7, Critical: true, Protocol: encap.ProtocolEthernet,
		Options: []encap.Option{{Class: 0x0102, Type: 0x83, Data: []byte{}}}}, "0140 6558 000007 00 0102 83 00"},
}

func TestHeaderOnTheWire(t *testing.T) {
	for _, c := range written {
		t.Run(c.name, func(t *testing.T) {
			want := wire(t, c.wire)
			got, err := c.header.AppendBinary([]byte("before"))
			require.NoError(t, err)
			assert.Equal(t, append([]byte("before"), want...), got)
			assert.Equal(t, len(want), c.header.Size())

			got, err = c.header.MarshalBinary()
			require.NoError(t, err)
			assert.Equal(t, want, got)

			h, payload, err := encap.Decode(append(want, "frame"...))
			require.NoError(t, err)
			assert.Equal(t, c.header, h)
			assert.Equal(t, "frame", string(payload))
		})
	}
}

func TestZeroProtocolIsEthernet(t *testing.T) {
	b, err := encap.Header{VNI: 7}.AppendBinary(nil)
	require.NoError(t, err)
	assert.Equal(t, wire(t, "0000 6558 000007 00"), b)
}

// A critical option without the C bit could be stripped on the way.
func TestCriticalOptionSetsTheBit(t *testing.T) {
	b, err := encap.Header{VNI: 7, Options: []encap.Option{{Type: 1}, {Type: 0x81}}}.AppendBinary(nil)
	require.NoError(t, err)
	assert.Equal(t, wire(t, "0240 6558 000007 00 0000 01 00 0000 81 00"), b)
}

func TestLongestOptions(t *testing.T) {
	h := encap.Header{VNI: 7, Protocol: encap.ProtocolEthernet, Options: []encap.Option{
		{Class: 1, Type: 1, Data: words(31)}, {Class: 2, Type: 2, Data: words(30)},
	}}
	require.Equal(t, encap.HeaderSize+encap.MaxOptions, h.Size())
	b, err := h.AppendBinary(nil)
	require.NoError(t, err)
	got, payload, err := encap.Decode(b)
	require.NoError(t, err)
	assert.Equal(t, h, got)
	assert.Empty(t, payload)
}

func TestHeaderThatCannotBeWritten(t *testing.T) {
	for _, c := range []struct {
		name   string
		header encap.Header
		want   error
	}{
		{"VNI of 25 bits", encap.Header{VNI: encap.MaxVNI + 1}, encap.ErrVNI},
		{"half a word of data", encap.Header{Options: []encap.Option{{Data: make([]byte, 6)}}}, encap.ErrOptionLength},
		{"data too long", encap.Header{Options: []encap.Option{{Data: make([]byte, encap.MaxOptionData+4)}}}, encap.ErrOptionLength},
		{"options too long", encap.Header{Options: []encap.Option{{Data: words(31)}, {Data: words(31)}}}, encap.ErrTooLong},
		{"too many options", encap.Header{Options: make([]encap.Option, 64)}, encap.ErrTooLong},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := c.header.AppendBinary([]byte("before"))
			require.ErrorIs(t, err, c.want)
			assert.Equal(t, "before", string(b))
			b, err = c.header.MarshalBinary()
			require.ErrorIs(t, err, c.want)
			assert.Nil(t, b)
		})
	}
}
