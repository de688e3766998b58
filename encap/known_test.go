// SPDX-License-Identifier: Apache-2.0

package encap_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/encap"
)

func TestReturnToSenderOnTheWire(t *testing.T) {
	for _, c := range []struct {
		name string
		r    encap.ReturnToSender
		wire string
	}{
		{"IPv4", encap.ReturnToSender{Host: addr("192.0.2.1"), Hops: 4},
			"0600 6558 000007 00  ff4d 01 05  04 000000  00000000 00000000 0000ffff c0000201"},
		{"IPv6", encap.ReturnToSender{Host: addr("2001:db8::1"), Hops: 3},
			"0600 6558 000007 00  ff4d 01 05  03 000000  20010db8 00000000 00000000 00000001"},
		{"critical", encap.ReturnToSender{Host: addr("192.0.2.1"), Critical: true},
			"0640 6558 000007 00  ff4d 81 05  00 000000  00000000 00000000 0000ffff c0000201"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := encap.Header{VNI: 7, Options: []encap.Option{option(t, c.r)}}.AppendBinary(nil)
			require.NoError(t, err)
			assert.Equal(t, wire(t, c.wire), b)

			h, _, err := encap.Decode(b)
			require.NoError(t, err)
			known, err := h.Known(encap.OptionClass)
			require.NoError(t, err)
			assert.Equal(t, encap.Known{ReturnToSender: &c.r}, known)
		})
	}
}

// A mapped address is IPv4's, whoever writes it how.
func TestReturnToSenderMapped(t *testing.T) {
	assert.Equal(t, option(t, encap.ReturnToSender{Host: addr("192.0.2.1")}),
		option(t, encap.ReturnToSender{Host: addr("::ffff:192.0.2.1")}))
}

func TestReturnToSenderThatCannotBe(t *testing.T) {
	for _, c := range []struct{ name, host string }{
		{"0.0.0.0", "0.0.0.0"}, {"0.0.0.0/8", "0.255.255.255"}, {"loopback", "127.0.0.1"},
		{"multicast", "224.0.0.1"}, {"240.0.0.0/4", "240.0.0.1"}, {"broadcast", "255.255.255.255"},
		{"mapped loopback", "::ffff:127.0.0.1"},
		{"unspecified IPv6", "::"}, {"loopback IPv6", "::1"}, {"multicast IPv6", "ff02::1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := encap.ReturnToSender{Host: addr(c.host)}.Option(encap.OptionClass)
			require.ErrorIs(t, err, encap.ErrReturnToSender)

			good := option(t, encap.ReturnToSender{Host: addr("192.0.2.1")})
			host := addr(c.host).As16()
			copy(good.Data[4:], host[:])
			_, err = encap.Header{Options: []encap.Option{good}}.Known(encap.OptionClass)
			require.ErrorIs(t, err, encap.ErrReturnToSender)
		})
	}
	_, err := encap.ReturnToSender{}.Option(encap.OptionClass)
	require.ErrorIs(t, err, encap.ErrReturnToSender, "no host")
	_, err = encap.ReturnToSender{Host: addr("fe80::1%eth0")}.Option(encap.OptionClass)
	require.ErrorIs(t, err, encap.ErrReturnToSender, "a zone means nothing to others")
	_, err = encap.ReturnToSender{Host: addr("192.0.2.1"), Hops: encap.MaxHops + 1}.Option(encap.OptionClass)
	require.ErrorIs(t, err, encap.ErrReturnToSender, "too many hops")
}

// The greatest and the smallest addresses next to those that are refused.
func TestReturnToSenderAtTheEdge(t *testing.T) {
	for _, host := range []string{"1.0.0.0", "126.255.255.255", "128.0.0.0", "223.255.255.255", "::2", "fe80::1", "feff::"} {
		_, err := encap.ReturnToSender{Host: addr(host)}.Option(encap.OptionClass)
		assert.NoError(t, err, host)
	}
}

func TestKnown(t *testing.T) {
	var (
		rts      = encap.ReturnToSender{Host: addr("192.0.2.1"), Hops: 4}
		ours     = option(t, rts)
		short    = encap.Option{Class: ours.Class, Type: ours.Type, Data: ours.Data[:16]}
		long     = encap.Option{Class: ours.Class, Type: ours.Type, Data: append(ours.Data[:20:20], 0, 0, 0, 0)}
		hops     = encap.Option{Class: ours.Class, Type: ours.Type, Data: append([]byte{5}, ours.Data[1:]...)}
		padded   = encap.Option{Class: ours.Class, Type: ours.Type, Data: append([]byte{4, 1, 2, 3}, ours.Data[4:]...)}
		back     = option(t, encap.ReturnToSender{Host: rts.Host, Critical: true})
		foreign  = encap.Option{Class: 0x0102, Type: 1, Data: words(1)}
		unknown  = encap.Option{Class: encap.OptionClass, Type: 0x7f}
		critical = encap.Option{Class: 0x0102, Type: 0x81, Data: words(5)}
		future   = encap.Option{Class: encap.OptionClass, Type: 0xff}
	)
	for _, c := range []struct {
		name    string
		options []encap.Option
		found   bool
		want    error
	}{
		{"none", nil, false, nil},
		{"ours", []encap.Option{ours}, true, nil},
		{"ours behind others", []encap.Option{foreign, unknown, ours}, true, nil},
		{"ours before others", []encap.Option{ours, unknown, foreign}, true, nil},
		{"only others", []encap.Option{foreign, unknown}, false, nil},
		{"padding that is not zero", []encap.Option{padded}, true, nil},
		{"too short", []encap.Option{short}, false, encap.ErrReturnToSender},
		{"too long", []encap.Option{long}, false, encap.ErrReturnToSender},
		{"too many hops", []encap.Option{hops}, false, encap.ErrReturnToSender},
		{"twice", []encap.Option{ours, ours}, false, encap.ErrDoubled},
		{"twice, once critical", []encap.Option{ours, foreign, back}, false, encap.ErrDoubled},
		{"critical of another class", []encap.Option{critical}, false, encap.ErrCritical},
		{"critical of our class", []encap.Option{future}, false, encap.ErrCritical},
		{"critical behind ours", []encap.Option{ours, critical}, false, encap.ErrCritical},
		{"the first mistake counts", []encap.Option{critical, ours, ours}, false, encap.ErrCritical},
	} {
		t.Run(c.name, func(t *testing.T) {
			known, err := encap.Header{Options: c.options}.Known(encap.OptionClass)
			if c.want != nil {
				require.ErrorIs(t, err, c.want)
				assert.Zero(t, known)
				return
			}
			require.NoError(t, err)
			if c.found {
				assert.Equal(t, &rts, known.ReturnToSender)
			} else {
				assert.Nil(t, known.ReturnToSender)
			}
		})
	}
}

// A fleet that uses another class reads its own, and ours no more.
func TestKnownOfAnotherClass(t *testing.T) {
	const class = 0xff00
	r := encap.ReturnToSender{Host: addr("192.0.2.1"), Critical: true}
	theirs, err := r.Option(class)
	require.NoError(t, err)
	h := encap.Header{Options: []encap.Option{theirs}}
	known, err := h.Known(class)
	require.NoError(t, err)
	assert.Equal(t, &r, known.ReturnToSender)
	_, err = h.Known(encap.OptionClass)
	require.ErrorIs(t, err, encap.ErrCritical)
}
