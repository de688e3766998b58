// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/mizar-go/mizar/dataplane"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// guard has b1 behind a firewall for the rest of the test.
func guard(t *testing.T, w *world, name string, vni uint32) *Firewall {
	t.Helper()
	fw, err := NewFirewall(t.Context(), w.b.dp, name, vni)
	require.NoError(t, err)
	unloadAfter(t, w.b.dp, dataplane.StageDeliver, w.b1.scope(), fw.Function)
	require.NoError(t, w.b.dp.Stage.Set(t.Context(), dataplane.StageDeliver, w.b1.scope(), name))
	return fw
}

// fate sends a frame from a1, and tells what it was dropped for; nothing: b1 has got it, unchanged behind its MACs.
func fate(t *testing.T, w *world, from, to *tap, frame []byte) (name string) {
	t.Helper()
	reasons := []string{"firewall.closed", "firewall.fragment"}
	count := func() (counts []uint64) {
		for _, r := range reasons {
			n, err := w.dropped(t.Context(), r)
			require.NoError(t, err)
			counts = append(counts, n)
		}
		return counts
	}
	same := func(got []byte) bool { return len(got) == len(frame) && bytes.Equal(got[14:], frame[14:]) }
	before := count()
	require.NoError(t, from.send(frame))
	require.NoError(t, await(t.Context(), "the packet's fate", func() (bool, error) {
		now := count()
		arrived, err := to.frames(same)
		for i := range now {
			if now[i] != before[i] {
				require.Equal(t, before[i]+1, now[i])
				require.Empty(t, arrived)
				name = reasons[i]
			}
		}
		return name != "" || len(arrived) == 1, err
	}))
	return name
}

// T3: a fragment has no ports, and none slips past a rule that has.
func testFirewall(t *testing.T, w *world) {
	const closed, fragment = "firewall.closed", "firewall.fragment"
	fw := guard(t, w, "firewall", vni)
	a1 := netip.PrefixFrom(w.a1.v4, 32)
	require.NoError(t, fw.Allow(a1, UDP(53), Port{unix.IPPROTO_ICMP, 0}))
	require.NoError(t, fw.Allow(netip.PrefixFrom(w.a1.v6, 128), UDP(53)))
	from, to := w.a1.tap(t), w.b1.tap(t)
	v4 := packet{from: w.a1.v4, to: w.b1.v4, port: 53}
	v6 := packet{from: w.a1.v6, to: w.b1.v6, port: 53}
	for _, c := range []struct {
		name   string
		like   packet
		change func(*packet)
		want   string
	}{
		{"as allowed", v4, func(p *packet) {}, ""},
		{"another port", v4, func(p *packet) { p.port = 54 }, closed},
		{"port 0", v4, func(p *packet) { p.port = 0 }, closed},
		{"TCP", v4, func(p *packet) { p.proto = unix.IPPROTO_TCP }, closed},
		{"protocol 0", v4, func(p *packet) { p.proto, p.port = 255, 0 }, closed},
		{"a protocol without ports", v4, func(p *packet) { p.proto = unix.IPPROTO_ICMP }, ""},
		{"first fragment", v4, func(p *packet) { p.more = true }, fragment},
		{"fragment in the middle", v4, func(p *packet) { p.more, p.offset = true, 40 }, fragment},
		{"last fragment", v4, func(p *packet) { p.offset = 40 }, fragment},
		{"last fragment of ICMP", v4, func(p *packet) { p.proto, p.offset = unix.IPPROTO_ICMP, 40 }, fragment},
		{"as allowed", v6, func(p *packet) {}, ""},
		{"another port", v6, func(p *packet) { p.port = 54 }, closed},
		{"TCP", v6, func(p *packet) { p.proto = unix.IPPROTO_TCP }, closed},
		{"first fragment", v6, func(p *packet) { p.more = true }, fragment},
		{"last fragment", v6, func(p *packet) { p.offset = 40 }, fragment},
		{"the only fragment", v6, func(p *packet) { p.fragment = true }, ""},
		{"the only fragment, another port", v6, func(p *packet) { p.fragment, p.port = true, 54 }, closed},
	} {
		p := c.like
		c.change(&p)
		require.Equal(t, c.want, fate(t, w, from, to, w.a1.frame(p)), "%s, %v", c.name, p.from)
	}

	// Too short for ports.
	short := w.a1.frame(v4)[:14+20+2]
	binary.BigEndian.PutUint16(short[14+2:], 20+2)
	require.Equal(t, closed, fate(t, w, from, to, short))

	// Who may do everything may send fragments.
	require.NoError(t, fw.Allow(a1))
	last := v4
	last.offset = 40
	require.Empty(t, fate(t, w, from, to, w.a1.frame(last)))
	require.NoError(t, fw.Deny(a1))
	require.Equal(t, closed, fate(t, w, from, to, w.a1.frame(v4)))
	require.Equal(t, closed, fate(t, w, from, to, w.a1.frame(last)))

	// A prefix is of one family, and the longest counts alone.
	require.NoError(t, fw.Allow(netip.MustParsePrefix("::/0")))
	require.Equal(t, closed, fate(t, w, from, to, w.a1.frame(v4)))
	require.NoError(t, fw.Deny(netip.MustParsePrefix("::/0")))
	require.NoError(t, fw.Deny(netip.PrefixFrom(w.a1.v6, 128)))
	require.NoError(t, fw.Allow(netip.MustParsePrefix("0.0.0.0/0")))
	require.Empty(t, fate(t, w, from, to, w.a1.frame(v4)))
	require.Equal(t, closed, fate(t, w, from, to, w.a1.frame(v6)))
	require.NoError(t, fw.Allow(netip.MustParsePrefix("10.0.0.0/31"), UDP(80)))
	require.Equal(t, closed, fate(t, w, from, to, w.a1.frame(v4)))
}

// T9: rules are of one VPC.
func testFirewallOfAnotherVPC(t *testing.T, w *world) {
	fw := guard(t, w, "firewall", vni+1)
	require.NoError(t, fw.Allow(netip.MustParsePrefix("0.0.0.0/0")))
	p := w.a1.frame(packet{from: w.a1.v4, to: w.b1.v4, port: 53})
	require.Equal(t, "firewall.closed", fate(t, w, w.a1.tap(t), w.b1.tap(t), p))
}

func testFirewallRules(t *testing.T, w *world) {
	fw := guard(t, w, "firewall", vni)
	for _, p := range []netip.Prefix{{}, netip.MustParsePrefix("::ffff:10.0.0.0/104")} {
		require.Error(t, fw.Allow(p))
		require.Error(t, fw.Deny(p))
	}
	all := netip.MustParsePrefix("10.0.0.0/8")
	require.ErrorContains(t, fw.Allow(all, slices.Repeat([]Port{TCP(1)}, 17)...), "17 ports")
	require.ErrorContains(t, fw.Allow(all, TCP(0)), "without a port")
	require.NoError(t, fw.Allow(all, slices.Repeat([]Port{TCP(1)}, 16)...))
	require.NoError(t, fw.Allow(netip.MustParsePrefix("10.1.2.3/8"), TCP(2)))
	n, err := fw.Rules()
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.NoError(t, fw.Deny(all))
	require.ErrorIs(t, fw.Deny(all), ebpf.ErrKeyNotExist)
}

// A second firewall of a name is refused, and the first goes on.
func testFirewallTwice(t *testing.T, w *world) {
	fw := guard(t, w, "firewall", vni)
	_, err := NewFirewall(t.Context(), w.b.dp, "firewall", vni)
	require.ErrorIs(t, err, dataplane.ErrExists)
	require.NoError(t, fw.Allow(netip.MustParsePrefix("0.0.0.0/0")))
	p := w.a1.frame(packet{from: w.a1.v4, to: w.b1.v4, port: 53})
	require.Empty(t, fate(t, w, w.a1.tap(t), w.b1.tap(t), p))
}
