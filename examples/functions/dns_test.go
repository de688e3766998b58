// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/mizar-go/mizar/droplet"
	"github.com/mizar-go/mizar/internal/testutil"
)

// query asks for a name's IPv4 addresses.
func query(t testing.TB, name string) []byte {
	t.Helper()
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: 7, RecursionDesired: true})
	require.NoError(t, b.StartQuestions())
	require.NoError(t, b.Question(dnsmessage.Question{Name: dnsmessage.MustNewName(name), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}))
	q, err := b.Finish()
	require.NoError(t, err)
	return q
}

func TestResolve(t *testing.T) {
	a := netip.MustParseAddr("192.0.2.9")
	d := new(DNS)
	d.Serve(map[string][]netip.Addr{"a.example.": {a, netip.MustParseAddr("2001:db8::9")}})
	for name, want := range map[string]dnsmessage.RCode{"a.example.": dnsmessage.RCodeSuccess, "b.example.": dnsmessage.RCodeNameError} {
		said, err := d.resolve(query(t, name))
		require.NoError(t, err)
		var m dnsmessage.Message
		require.NoError(t, m.Unpack(said))
		require.Equal(t, want, m.RCode)
		require.True(t, m.Response && m.Authoritative && m.RecursionDesired)
		require.EqualValues(t, 7, m.ID)
		require.Len(t, m.Questions, 1)
		if want == dnsmessage.RCodeSuccess {
			require.Len(t, m.Answers, 1)
			require.Equal(t, &dnsmessage.AResource{A: a.As4()}, m.Answers[0].Body)
		} else {
			require.Empty(t, m.Answers)
		}
		_, err = d.resolve(said) // two of them could answer each other for ever
		require.Error(t, err)
	}
}

// Whatever comes, it is answered or refused.
func FuzzDNS(f *testing.F) {
	from, to := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.53")
	q := question{from: to, to: from, fromPort: 53, toPort: 5353}
	f.Add(append(append(make([]byte, 12), 8, 0), q.answer(query(f, "a.example."))...))
	from, to = netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::53")
	q = question{from: to, to: from, fromPort: 53, toPort: 5353}
	f.Add(append(append(make([]byte, 12), 0x86, 0xdd), q.answer(query(f, "a.example."))...))
	d := new(DNS)
	d.Serve(map[string][]netip.Addr{"a.example.": {netip.MustParseAddr("192.0.2.9")}})
	f.Fuzz(func(t *testing.T, frame []byte) {
		q, err := readQuestion(frame)
		if err != nil {
			return
		}
		said, err := d.resolve(q.payload)
		if err != nil {
			return
		}
		ip := q.answer(said)
		head := 20
		if q.from.Is6() {
			head = 40
		}
		require.Len(t, ip, head+8+len(said))
	})
}

func TestDNS(t *testing.T) {
	testutil.Root(t)
	leaks(t)
	w, err := build(t.Context(), droplet.TCX)
	t.Cleanup(func() { require.NoError(t, w.close()) })
	require.NoError(t, err)
	for range 2 { // and nothing is left that the second would trip over
		require.NoError(t, showDNS(t.Context(), w, io.Discard))
	}
}
