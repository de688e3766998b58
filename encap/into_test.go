// SPDX-License-Identifier: Apache-2.0

package encap_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/encap"
)

// What is read into a header that was used before is what a new one gets.
func TestDecodeInto(t *testing.T) {
	var h encap.Header
	for _, c := range written {
		b := append(wire(t, c.wire), "frame"...)
		want, rest, err := encap.Decode(b)
		require.NoError(t, err)
		got, err := encap.DecodeInto(&h, b)
		require.NoError(t, err, c.name)
		assert.Equal(t, rest, got, c.name)
		assert.Len(t, h.Options, len(want.Options), c.name)
		for i, o := range want.Options {
			assert.Equal(t, o, h.Options[i], c.name)
		}
		h, want := h, want
		h.Options, want.Options = nil, nil
		assert.Equal(t, want, h, c.name)
	}
	for _, c := range malformed {
		payload, err := encap.DecodeInto(&h, wire(t, c.wire))
		assert.Equal(t, c.want, err, c.name)
		assert.Nil(t, payload, c.name)
	}
}

func TestReadingDoesNotAllocate(t *testing.T) {
	rts := option(t, encap.ReturnToSender{Host: addr("192.0.2.1"), Hops: 4})
	good, err := encap.Header{VNI: 7, Options: []encap.Option{rts, {Class: 1, Type: 2, Data: words(3)}}}.AppendBinary(nil)
	require.NoError(t, err)
	bad, err := encap.Header{VNI: 7, Options: []encap.Option{rts, rts}}.AppendBinary(nil)
	require.NoError(t, err)
	h := encap.Header{Options: make([]encap.Option, 0, 2)}
	for _, b := range [][]byte{good, bad, good[:7]} {
		assert.Zero(t, testing.AllocsPerRun(100, func() {
			if _, err := encap.DecodeInto(&h, b); err == nil {
				_, _, _ = h.ReturnToSender(encap.OptionClass)
			}
		}))
	}
}

// The two ways to read options agree.
func FuzzReturnToSenderOption(f *testing.F) {
	for _, c := range written {
		f.Add(wire(f, c.wire))
	}
	rts := option(f, encap.ReturnToSender{Host: addr("192.0.2.1"), Hops: 4})
	for _, options := range [][]encap.Option{
		{rts}, {rts, rts}, {{Class: 1, Type: 0x81}, rts}, {{Class: rts.Class, Type: rts.Type, Data: words(5)}},
	} {
		b, err := encap.Header{VNI: 7, Options: options}.AppendBinary(nil)
		require.NoError(f, err)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, _, err := encap.Decode(b)
		if err != nil {
			return
		}
		known, want := h.Known(encap.OptionClass)
		r, found, err := h.ReturnToSender(encap.OptionClass)
		if want != nil {
			for _, kind := range []error{encap.ErrReturnToSender, encap.ErrDoubled, encap.ErrCritical} {
				require.Equal(t, errors.Is(want, kind), errors.Is(err, kind), "%v, and %v", want, err)
			}
			require.Error(t, err)
			require.Zero(t, r)
			return
		}
		require.NoError(t, err)
		require.Equal(t, known.ReturnToSender != nil, found)
		if found {
			require.Equal(t, *known.ReturnToSender, r)
		}
	})
}
