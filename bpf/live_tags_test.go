// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/internal/testutil"
)

// T4: tcx sees the outermost tag beside the bytes, which a run of the program cannot show.
func TestT4LiveTags(t *testing.T) {
	h, world := lone(t, false)
	defer logCounters(t, h)
	r := &rig{t: t, tables: h.tables}
	ok, forged := inner(t, macA, macVirtual, a4, f4, 100), inner(t, macA, macVirtual, f4, a4, 100)
	for _, c := range []struct {
		name   string
		frame  []byte
		reason TableReason
	}{
		{"two tags", tagged(ok, 0x8100, 5, 6), TableReasonDROP_INNER_VLAN},
		{"forged behind a tag", tagged(forged, 0x8100, 5), TableReasonDROP_SPOOF_ADDRESS},
		{"forged behind 802.1ad", tagged(forged, 0x88a8, 5), TableReasonDROP_SPOOF_ADDRESS},
		{"llc behind a tag", mutate(tagged(ok, 0x8100, 5), func(b []byte) { b[16], b[17] = 0, 40 }), TableReasonDROP_INNER_ETHERTYPE},
	} {
		before := r.counted(c.reason).Packets
		testutil.Eventually(t, 20*time.Second, func() error {
			inNS(t, h.workload, func() error { return sendFrame("eth0", c.frame) })
			if r.counted(c.reason).Packets == before {
				return fmt.Errorf("%s: no %v: %v", c.name, c.reason, r.counters())
			}
			return nil
		})
	}
	one := tagged(ok, 0x8100, 5)
	want := tunnel(t, host4, far4, vni, nil, sent(one))[14+20+8:]
	receives(t, listenUDP(t, world, netip.AddrPortFrom(far4, port)), want, func() {
		inNS(t, h.workload, func() error { return sendFrame("eth0", one) })
	})
}

// A VLAN's packets are not the droplet's: they are its VLAN device's, and go to the stack.
func TestLiveTaggedTunnel(t *testing.T) {
	for _, mode := range []string{"tcx", "xdp"} {
		t.Run(mode, func(t *testing.T) {
			h, world := lone(t, mode == "xdp")
			defer logCounters(t, h)
			r := &rig{t: t, tables: h.tables}
			in := inner(t, macFar, macVirtual, f4, a4, 9)
			mark := tunnel(t, stranger4, host4, vni, nil, in)
			testutil.Eventually(t, 20*time.Second, func() error {
				inNS(t, world, func() error {
					return errors.Join(sendFrame("w0", tagged(tunnel(t, far4, host4, vni, nil, in), 0x8100, 5)), sendFrame("w0", mark))
				})
				if n := r.counters()[TableReasonDROP_PEER]; n < 5 {
					return fmt.Errorf("%d arrived", n)
				}
				return nil
			})
			require.Zero(t, r.counters()[TableReasonREASON_DELIVER])
		})
	}
}
