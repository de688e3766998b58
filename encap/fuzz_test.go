// SPDX-License-Identifier: Apache-2.0

package encap_test

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/encap"
)

// What is decoded is encoded to the same bytes, but for what a reader has to ignore; what is not gives
// nothing.
func FuzzDecode(f *testing.F) {
	for _, c := range written {
		f.Add(wire(f, c.wire))
	}
	for _, c := range malformed {
		f.Add(wire(f, c.wire))
	}
	for _, r := range []encap.ReturnToSender{
		{Host: addr("192.0.2.1"), Hops: 4}, {Host: addr("2001:db8::1"), Critical: true},
	} {
		b, err := encap.Header{VNI: 7, Options: []encap.Option{option(f, r)}}.AppendBinary(nil)
		require.NoError(f, err)
		f.Add(append(b, "frame"...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		h, payload, err := encap.Decode(b)
		if err != nil {
			require.Zero(t, h)
			require.Nil(t, payload)
			return
		}
		require.Equal(t, len(b), h.Size()+len(payload))
		require.Equal(t, b[h.Size():], payload)

		again, err := h.AppendBinary(nil)
		require.NoError(t, err)
		require.Equal(t, canonical(b[:h.Size()], h), again)

		known, err := h.Known(encap.OptionClass)
		if err == nil && known.ReturnToSender != nil {
			o := option(t, *known.ReturnToSender)
			i := find(h, o.Type)
			o.Data = append(o.Data[:1:1], append(h.Options[i].Data[1:4:4], o.Data[4:]...)...) // padding is ignored
			require.Equal(t, h.Options[i], o)
		}
		require.Equal(t, before, b, "reading wrote")
	})
}

// canonical clears the reserved bits, and sets the critical one where it belongs.
func canonical(b []byte, h encap.Header) []byte {
	b = bytes.Clone(b)
	b[1] &= 0xc0
	b[7] = 0
	off := encap.HeaderSize
	for _, o := range h.Options {
		b[off+3] &= 0x1f
		if o.Critical() {
			b[1] |= 0x40
		}
		off += o.Size()
	}
	return b
}

func find(h encap.Header, typ uint8) int {
	for i, o := range h.Options {
		if o.Class == encap.OptionClass && o.Type == typ {
			return i
		}
	}
	return -1
}

// What is encoded is decoded to the same, or was refused for a reason that can be seen.
func FuzzEncode(f *testing.F) {
	f.Add(uint32(7), false, false, encap.ProtocolEthernet, uint16(1), uint8(2), []byte{}, uint16(3), uint8(4), words(2), []byte("frame"))
	f.Add(uint32(encap.MaxVNI), true, true, uint16(0x800), uint16(1), uint8(0x82), words(31), uint16(3), uint8(4), words(30), []byte{})
	f.Add(uint32(encap.MaxVNI+1), false, false, uint16(0), uint16(1), uint8(2), words(31), uint16(3), uint8(4), words(31), []byte{})
	f.Add(uint32(7), false, true, uint16(0), uint16(1), uint8(2), []byte{1, 2, 3}, uint16(3), uint8(4), words(1), []byte{})
	f.Fuzz(func(t *testing.T, vni uint32, critical, control bool, protocol uint16,
		class1 uint16, type1 uint8, data1 []byte, class2 uint16, type2 uint8, data2, payload []byte) {
		h := encap.Header{VNI: vni, Critical: critical, Control: control, Protocol: protocol, Options: []encap.Option{
			{Class: class1, Type: type1, Data: data1}, {Class: class2, Type: type2, Data: data2},
		}}
		b, err := h.AppendBinary(nil)
		if err != nil {
			require.Empty(t, b)
			fits := vni <= encap.MaxVNI && h.Size()-encap.HeaderSize <= encap.MaxOptions
			for _, o := range h.Options {
				fits = fits && len(o.Data)%4 == 0 && len(o.Data) <= encap.MaxOptionData
			}
			require.False(t, fits, "refused: %v", err)
			return
		}
		got, rest, err := encap.Decode(append(b, payload...))
		require.NoError(t, err)
		require.True(t, bytes.Equal(payload, rest))
		if h.Protocol == 0 {
			h.Protocol = encap.ProtocolEthernet
		}
		h.Critical = h.Critical || h.Options[0].Critical() || h.Options[1].Critical()
		for i, o := range h.Options {
			require.True(t, bytes.Equal(o.Data, got.Options[i].Data))
			h.Options[i].Data, got.Options[i].Data = nil, nil
		}
		require.Equal(t, h, got)
	})
}

// A return-to-sender is written and read back, or is refused both ways.
func FuzzReturnToSender(f *testing.F) {
	for _, s := range []string{"192.0.2.1", "2001:db8::1", "::1", "255.255.255.255", "::"} {
		host := addr(s).As16()
		f.Add(host[:], uint8(4), false)
		f.Add(host[:], uint8(5), true)
	}
	f.Fuzz(func(t *testing.T, b []byte, hops uint8, critical bool) {
		if len(b) != 16 {
			return
		}
		r := encap.ReturnToSender{Host: netip.AddrFrom16([16]byte(b)).Unmap(), Hops: hops, Critical: critical}
		o, err := r.Option(encap.OptionClass)
		if err != nil {
			require.ErrorIs(t, err, encap.ErrReturnToSender)
			o = encap.Option{Class: encap.OptionClass, Type: 1, Data: append([]byte{hops, 0, 0, 0}, b...)}
			_, err = encap.Header{Options: []encap.Option{o}}.Known(encap.OptionClass)
			require.ErrorIs(t, err, encap.ErrReturnToSender)
			return
		}
		known, err := encap.Header{Options: []encap.Option{o}}.Known(encap.OptionClass)
		require.NoError(t, err)
		require.Equal(t, &r, known.ReturnToSender)
	})
}
