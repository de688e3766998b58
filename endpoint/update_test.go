// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/internal/packet"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

func TestUpdate(t *testing.T) {
	r := newRig(t, bpf.Limits{Allowed: 4})
	ns := testutil.NewNS(t)
	c := dual(ns)
	c.Allowed, c.Cookie = prefixes("10.1.0.0/16"), 1
	e := r.create(c)
	for _, change := range []Change{
		{Allowed: prefixes("10.1.0.0/16", "2001:db8:1::/48"), Cookie: 2}, {Cookie: 2}, {Allowed: prefixes("0.0.0.0/0")},
	} {
		want := *e
		want.Allowed, want.Cookie = change.Allowed, change.Cookie
		got, err := r.Update(t.Context(), e.HostInterface, change)
		require.NoError(t, err)
		require.Equal(t, &want, got)
		require.Equal(t, []*Endpoint{&want}, locals(t, r.Manager))
		require.Equal(t, []*Endpoint{&want}, locals(t, r.another()))
		for _, a := range e.Addrs {
			row, err := r.Get(t.Context(), maps.EndpointKey{VNI: e.VNI, Addr: a})
			require.NoError(t, err)
			require.Equal(t, change.Cookie, row.Cookie)
		}
	}

	// What fails, wherever, changes nothing.
	before := r.snapshot(ns)
	change := Change{Allowed: prefixes("10.2.0.0/16"), Cookie: 9}
	var steps []string
	for i := 0; ; i++ {
		last := true
		r.failAt = nth(i, func() error { last = false; return errFault })
		_, err := r.Update(t.Context(), e.HostInterface, change)
		r.failAt = nil
		if last {
			require.NoError(t, err)
			break
		}
		require.ErrorIs(t, err, errFault)
		require.Equal(t, before, r.snapshot(ns))
		steps = append(steps, err.Error())
	}
	require.Len(t, steps, 3)
	before = r.snapshot(ns)
	for _, bad := range []struct {
		name   string
		change Change
		err    error
	}{
		{"none", Change{}, maps.ErrNotFound},
		{e.HostInterface, Change{Allowed: prefixes("10.2.0.1/16")}, maps.ErrInvalid},
		{e.HostInterface, Change{Allowed: prefixes("10.2.0.0/16", "10.2.0.0/16")}, maps.ErrInvalid},
		{e.HostInterface, Change{Allowed: prefixes("::/0")}, maps.ErrInvalid},
		{e.HostInterface, Change{Allowed: prefixes("10.2.0.0/16", "10.3.0.0/16", "10.4.0.0/16", "10.5.0.0/16", "10.6.0.0/16")}, maps.ErrFull},
	} {
		_, err := r.Update(t.Context(), bad.name, bad.change)
		require.ErrorIs(t, err, bad.err, "%+v", bad.change)
		require.Equal(t, before, r.snapshot(ns))
	}
	testutil.Delete(t, r.host, e.HostInterface)
	_, err := r.Update(t.Context(), e.HostInterface, change)
	require.ErrorIs(t, err, maps.ErrInvalid)
	require.NoError(t, r.Delete(t.Context(), e.HostInterface))
}

// TestUpdateAllowed: what an endpoint may send from counts from the next packet on.
func TestUpdateAllowed(t *testing.T) {
	for _, mode := range []Mode{TCX, Native, Generic} {
		t.Run(mode.String(), func(t *testing.T) {
			r := forwarding(t)
			ns, other := testutil.NewNS(t), testutil.NewNS(t)
			at := func(n byte) []netip.Prefix { return []netip.Prefix{netip.PrefixFrom(packet.Endpoint4(n), 24)} }
			e := r.create(Config{VNI: 7, MAC: packet.MAC(1), NetNS: FD(ns.FD()), Mode: mode, Addrs: at(1)})
			r.create(Config{VNI: 7, MAC: packet.MAC(2), NetNS: FD(other.FD()), Mode: mode, Addrs: at(2)})
			out := packetSocket(t, ns)
			eth0 := &unix.SockaddrLinklayer{Ifindex: testutil.Ifindex(t, ns, "eth0"), Halen: 6}
			frame := packet.Eth(packet.MAC(1), virtualMAC[:]).IPv4(packet.Other4(9), packet.Endpoint4(2)).UDP(1000, 2000).Build(t)
			its := netip.PrefixFrom(packet.Other4(0), 24)
			for _, c := range []struct {
				allowed []netip.Prefix
				reason  bpf.Reason
			}{
				{nil, bpf.TableReasonDROP_SPOOF_ADDRESS}, {[]netip.Prefix{its}, bpf.TableReasonREASON_DELIVER_LOCAL},
				{prefixes("10.98.0.0/16"), bpf.TableReasonDROP_SPOOF_ADDRESS}, {[]netip.Prefix{its}, bpf.TableReasonREASON_DELIVER_LOCAL},
			} {
				_, err := r.Update(t.Context(), e.HostInterface, Change{Allowed: c.allowed})
				require.NoError(t, err)
				before := r.counted(c.reason)
				require.NoError(t, unix.Sendto(out, frame, 0, eth0))
				testutil.Eventually(t, settleTimeout, func() error {
					if r.counted(c.reason) != before+1 {
						return fmt.Errorf("allowed %v: not counted as %s", c.allowed, c.reason)
					}
					return nil
				})
			}
		})
	}
}
