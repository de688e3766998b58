// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/internal/netns"
)

// pair are two namespaces on one wire.
func pair(t *testing.T) (a, b *netns.Handle) {
	t.Helper()
	a, b = NewNS(t), NewNS(t)
	Veth(t, a, "eth0", b, "eth0")
	Addr(t, a, "eth0", "192.0.2.1/24", "2001:db8::1/64", "192.0.2.11/24", "fe80::1/64")
	Addr(t, b, "eth0", "192.0.2.2/24", "2001:db8::2/64", "fe80::2/64")
	Up(t, a, "eth0")
	Up(t, b, "eth0")
	Ready(t, a, "eth0")
	Ready(t, b, "eth0")
	return a, b
}

func TestPing(t *testing.T) {
	a, _ := pair(t)
	for _, c := range []struct{ src, dst string }{
		{"", "192.0.2.2"},
		{"", "2001:db8::2"},
		{"192.0.2.11", "192.0.2.2"},
		{"2001:db8::1", "2001:db8::2"},
		{"", "fe80::2%eth0"},
		{"", "127.0.0.1"}, // where requests come in too
		{"", "::1"},
	} {
		t.Run(c.src+" to "+c.dst, func(t *testing.T) {
			var src netip.Addr
			if c.src != "" {
				src = netip.MustParseAddr(c.src)
			}
			r := Ping(t, a, src, netip.MustParseAddr(c.dst), 3, 5*time.Second)
			require.Equal(t, 3, r.Sent)
			require.Zero(t, r.Lost, "%v", r.Errors)
			require.Zero(t, r.Duplicates)
			require.Empty(t, r.Errors)
			require.Len(t, r.RTTs, 3)
			for _, rtt := range r.RTTs {
				require.Positive(t, rtt)
				require.Less(t, rtt, 5*time.Second)
			}
		})
	}
}

func TestPingSizes(t *testing.T) {
	a, _ := pair(t)
	for _, dst := range []string{"192.0.2.2", "2001:db8::2"} {
		for _, size := range []int{0, 1, 17, 1400, 4000} { // the last in fragments
			r := StartPing(t, a, PingConfig{Dst: netip.MustParseAddr(dst), Count: 2, Size: size, Timeout: 5 * time.Second}).Wait()
			require.Len(t, r.RTTs, 2, "%s size %d: %v", dst, size, r.Errors)
		}
		r := StartPing(t, a, PingConfig{Dst: netip.MustParseAddr(dst), Count: 2, Size: 4000, DontFragment: true}).Wait()
		require.Equal(t, 2, r.Lost)
		require.Len(t, r.Errors, 2)
		require.ErrorIs(t, r.Errors[0], unix.EMSGSIZE)
	}
}

func TestPingLost(t *testing.T) {
	a, b := pair(t)
	Sysctl(t, b, "net/ipv4/icmp_echo_ignore_all", "1")
	Sysctl(t, b, "net/ipv6/icmp/echo_ignore_all", "1")
	for _, dst := range []string{"192.0.2.2", "2001:db8::2"} {
		r := Ping(t, a, netip.Addr{}, netip.MustParseAddr(dst), 2, 20*time.Millisecond)
		require.Equal(t, PingResult{Sent: 2, Lost: 2}, r)
	}
	// Nobody could answer at all.
	for _, dst := range []string{"198.51.100.1", "2001:db8:1::1"} {
		r := Ping(t, a, netip.Addr{}, netip.MustParseAddr(dst), 1, time.Minute)
		require.Equal(t, 1, r.Lost)
		require.ErrorIs(t, r.Errors[0], unix.ENETUNREACH)
	}
}

// A router between, with a small MTU behind it and no route elsewhere.
func TestPingICMPErrors(t *testing.T) {
	a, router := pair(t)
	c := NewNS(t)
	Veth(t, router, "eth1", c, "eth0")
	Addr(t, router, "eth1", "198.51.100.1/24", "2001:db8:1::1/64")
	Addr(t, c, "eth0", "198.51.100.2/24", "2001:db8:1::2/64")
	MTU(t, router, 1400, "eth1")
	MTU(t, c, 1400, "eth0")
	Up(t, router, "eth1")
	Up(t, c, "eth0")
	Ready(t, router, "eth1")
	Ready(t, c, "eth0")
	Sysctl(t, router, "net/ipv4/ip_forward", "1")
	Sysctl(t, router, "net/ipv6/conf/all/forwarding", "1")
	Route(t, a, "eth0", "0.0.0.0/0", "192.0.2.2")
	Route(t, a, "eth0", "::/0", "2001:db8::2")
	Route(t, c, "eth0", "0.0.0.0/0", "198.51.100.1")
	Route(t, c, "eth0", "::/0", "2001:db8:1::1")
	for _, x := range []struct {
		dst, nowhere string
		tooBig, none ICMPError
	}{
		{
			"198.51.100.2", "203.0.113.1",
			ICMPError{netip.MustParseAddr("192.0.2.2"), 3, 4, 1400}, ICMPError{netip.MustParseAddr("192.0.2.2"), 3, 0, 0},
		},
		{
			"2001:db8:1::2", "2001:db8:2::1",
			ICMPError{netip.MustParseAddr("2001:db8::2"), 2, 0, 1400}, ICMPError{netip.MustParseAddr("2001:db8::2"), 1, 0, 0},
		},
	} {
		dst := netip.MustParseAddr(x.dst)
		require.Len(t, Ping(t, a, netip.Addr{}, dst, 1, 5*time.Second).RTTs, 1)
		r := StartPing(t, a, PingConfig{Dst: dst, Count: 1, Size: 1400, DontFragment: true, Timeout: time.Minute}).Wait()
		require.Equal(t, PingResult{Sent: 1, Lost: 1, Errors: []error{&x.tooBig}}, r)
		r = Ping(t, a, netip.Addr{}, netip.MustParseAddr(x.nowhere), 1, time.Minute)
		require.Equal(t, PingResult{Sent: 1, Lost: 1, Errors: []error{&x.none}}, r)
	}
	require.EqualError(t, &ICMPError{netip.MustParseAddr("192.0.2.2"), 3, 4, 1400}, "ICMP type 3 code 4 from 192.0.2.2, MTU 1400")
}

// A pinger goes on while the wire is cut, counts what that cost, and does not take another's answers.
func TestPinger(t *testing.T) {
	a, b := pair(t)
	cfg := PingConfig{Dst: netip.MustParseAddr("192.0.2.2"), Interval: time.Millisecond, Timeout: 50 * time.Millisecond}
	p, other := StartPing(t, a, cfg), StartPing(t, a, cfg)
	// For as long as it takes those for some more than this many.
	some := PingConfig{Dst: cfg.Dst, Interval: 2 * cfg.Interval, Timeout: 5 * time.Second, Count: 5}
	require.Zero(t, StartPing(t, a, some).Wait().Lost)
	Sysctl(t, b, "net/ipv4/icmp_echo_ignore_all", "1")
	require.Equal(t, 1, Ping(t, a, netip.Addr{}, cfg.Dst, 1, 50*time.Millisecond).Lost)
	Sysctl(t, b, "net/ipv4/icmp_echo_ignore_all", "0")
	require.Zero(t, Ping(t, a, netip.Addr{}, cfg.Dst, 3, 5*time.Second).Lost)
	for _, p := range []*Pinger{p, other} {
		r := p.Stop()
		require.Equal(t, r, p.Stop())
		require.Equal(t, r.Sent, r.Lost+len(r.RTTs))
		require.Greater(t, len(r.RTTs), 2)
		require.Positive(t, r.Lost)
		require.Zero(t, r.Duplicates)
	}
}

func TestPingDuplicates(t *testing.T) {
	p := &Pinger{pending: map[uint64]time.Time{7: time.Now()}}
	now := time.Now()
	p.take(answer{number: 7, at: now})
	p.take(answer{number: 7, at: now})
	require.Len(t, p.result.RTTs, 1)
	require.Equal(t, 1, p.result.Duplicates)
}

func FuzzICMP(f *testing.F) {
	four, six := echo{id: 1, token: 2, size: pingStamp}, echo{v6: true, id: 1, token: 2, size: 40}
	for _, e := range []echo{four, six} {
		request := e.request(3)
		f.Add(request)
		reply := append([]byte(nil), request...)
		reply[0] = echoReply4
		if e.v6 {
			reply[0] = echoReply6
		}
		f.Add(reply)
		a, ok := e.parse(reply, netip.Addr{})
		require.True(f, ok)
		require.Equal(f, answer{number: 3}, a)
		for i := range reply {
			if i != 1 && i != 2 && i != 3 && (i < 6 || i > 7) && (i < 16 || i > 23) { // code, checksum, numbers
				broken := append([]byte(nil), reply...)
				broken[i] ^= 0xff
				_, ok := e.parse(broken, netip.Addr{})
				require.False(f, ok, "byte %d", i)
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, e := range []echo{four, six} {
			e.parse(b, netip.Addr{})
		}
	})
}

func TestChecksum(t *testing.T) {
	require.Equal(t, uint16(0x220d), checksum([]byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7})) // RFC 1071
	require.Equal(t, uint16(0xfeff), checksum([]byte{1}))
}

var errNotYet = errors.New("not yet")

func TestEventually(t *testing.T) {
	calls := 0
	Eventually(t, 5*time.Second, func() error {
		if calls++; calls < 3 {
			return errNotYet
		}
		return nil
	})
	require.Equal(t, 3, calls)
	Eventually(t, 0, func() error { return nil })
	require.Equal(t, errNotYet, poll(0, func() error { return errNotYet }))
	start := time.Now()
	require.EqualError(t, poll(20*time.Millisecond, func() error { return fmt.Errorf("%w", errNotYet) }), "not yet")
	require.GreaterOrEqual(t, time.Since(start), 20*time.Millisecond)
}

// TestPingerThatCannotKeepUp: it takes answers, and stops, also where it is to send faster than it can.
func TestPingerThatCannotKeepUp(t *testing.T) {
	a, _ := pair(t)
	p := StartPing(t, a, PingConfig{Dst: netip.MustParseAddr("192.0.2.2"), Interval: 1, Timeout: 30 * time.Second})
	some := PingConfig{Dst: p.cfg.Dst, Interval: 2 * time.Millisecond, Timeout: 30 * time.Second, Count: 20}
	require.Zero(t, StartPing(t, a, some).Wait().Lost)
	r := p.Stop()
	require.NotEmpty(t, r.RTTs)
}
