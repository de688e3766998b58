// SPDX-License-Identifier: Apache-2.0

package encap_test

import (
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/encap"
)

// gopacketMax is as many bytes of options as gopacket can step over: its offset is of eight bits.
const gopacketMax = 244

// agree compares a header of ours with what gopacket reads from the same bytes.
func agree(t *testing.T, h encap.Header, payload, b []byte) {
	t.Helper()
	var g layers.Geneve
	require.NoError(t, g.DecodeFromBytes(b, gopacket.NilDecodeFeedback))
	assert.Equal(t, g.VNI, h.VNI)
	assert.Zero(t, g.Version)
	assert.Equal(t, g.OAMPacket, h.Control)
	assert.Equal(t, g.CriticalOption, h.Critical)
	assert.Equal(t, uint16(g.Protocol), h.Protocol)
	assert.Equal(t, int(g.OptionsLength), h.Size()-encap.HeaderSize)
	assert.Equal(t, g.Payload, payload)
	require.Len(t, h.Options, len(g.Options))
	for i, o := range h.Options {
		assert.Equal(t, encap.Option{Class: g.Options[i].Class, Type: g.Options[i].Type, Data: g.Options[i].Data},
			encap.Option{Class: o.Class, Type: o.Type, Data: append([]byte{}, o.Data...)})
	}
}

// Headers that we write are read alike by gopacket, and the other way round.
func TestAgainstGopacket(t *testing.T) {
	headers := []encap.Header{
		{VNI: 7, Options: []encap.Option{option(t, encap.ReturnToSender{Host: addr("192.0.2.1"), Hops: 4})}},
		{VNI: 7, Options: []encap.Option{{Class: 1, Type: 2, Data: words(31)},
			option(t, encap.ReturnToSender{Host: addr("2001:db8::1"), Critical: true}), {Class: 3, Type: 4, Data: words(2)}}},
		{VNI: 1, Options: []encap.Option{{Data: words(31)}, {Data: words(28)}}}, // gopacketMax
	}
	for _, c := range written {
		headers = append(headers, c.header)
	}
	for _, h := range headers {
		ours, err := h.AppendBinary(nil)
		require.NoError(t, err)

		h, payload, err := encap.Decode(append(ours, "frame"...))
		require.NoError(t, err)
		agree(t, h, payload, append(ours, "frame"...))

		g := layers.Geneve{VNI: h.VNI, OAMPacket: h.Control, CriticalOption: h.Critical, Protocol: layers.EthernetType(h.Protocol)}
		for _, o := range h.Options {
			g.Options = append(g.Options, &layers.GeneveOption{Class: o.Class, Type: o.Type, Data: o.Data})
		}
		buf := gopacket.NewSerializeBuffer()
		require.NoError(t, g.SerializeTo(buf, gopacket.SerializeOptions{FixLengths: true}))
		assert.Equal(t, buf.Bytes(), ours)
	}
}

// Whatever we take, gopacket takes, and reads the same.
func FuzzAgainstGopacket(f *testing.F) {
	for _, c := range written {
		f.Add(wire(f, c.wire))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, payload, err := encap.Decode(b)
		if err != nil || h.Size() > encap.HeaderSize+gopacketMax {
			return
		}
		agree(t, h, payload, b)
	})
}
