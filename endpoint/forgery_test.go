// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/packet"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

// forwarding is a rig with the real programs, and a VPC.
func forwarding(t *testing.T) *rig {
	t.Helper()
	r := newRig(t, bpf.Limits{})
	programs, err := bpf.LoadPrograms(r.raw)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, programs.Close()) })
	require.NoError(t, programs.WireTransit())
	r.Manager = r.manager(r.tables, programs)
	require.NoError(t, r.tables.Settings.Put(maps.Settings{Port: maps.DefaultPort, OptionClass: maps.OptionClass}))
	require.NoError(t, r.tables.VPCs.Put(maps.VPC{VNI: 7}))
	return r
}

// counted is how often the programs came to a verdict.
func (r *rig) counted(reason bpf.Reason) uint64 {
	r.t.Helper()
	c, err := r.tables.Counters.Get(reason)
	require.NoError(r.t, err)
	return c.Packets
}

// An attacker and the one that it claims to be, both on the victim's host, where all is delivered without
// a tunnel: each forgery is dropped for what it is, and reaches nobody.
func TestT5ForgedByEndpoint(t *testing.T) {
	const victim, attacker, third = 1, 2, 3
	own, virtual := packet.Eth(packet.MAC(attacker), virtualMAC[:]), virtualMAC[:]
	me4, me6, you4, you6 := packet.Endpoint4(attacker), packet.Endpoint6(attacker), packet.Endpoint4(victim), packet.Endpoint6(victim)
	it4, it6 := packet.Endpoint4(third), packet.Endpoint6(third)
	all := netip.MustParseAddr("ff02::1")
	toAll := packet.Eth(packet.MAC(attacker), packet.MulticastMAC(all))
	for _, mode := range []Mode{TCX, Native, Generic} {
		t.Run(mode.String(), func(t *testing.T) {
			r := forwarding(t)
			namespaces := make(map[byte]*netns.Handle)
			for _, n := range []byte{victim, attacker, third} {
				namespaces[n] = testutil.NewNS(t)
				r.create(Config{VNI: 7, MAC: packet.MAC(n), NetNS: FD(namespaces[n].FD()), Mode: mode,
					Addrs: []netip.Prefix{netip.PrefixFrom(packet.Endpoint4(n), 24), netip.PrefixFrom(packet.Endpoint6(n), 64)}})
			}
			out := packetSocket(t, namespaces[attacker])
			eth0 := &unix.SockaddrLinklayer{Ifindex: testutil.Ifindex(t, namespaces[attacker], "eth0"), Halen: 6}
			heard := map[string]int{"victim": packetSocket(t, namespaces[victim]), "third": packetSocket(t, namespaces[third])}
			for name, c := range map[string]struct {
				packet.Packet
				reason bpf.Reason
			}{
				"MAC":              {packet.Eth(packet.MAC(third), virtual).IPv4(me4, you4).Echo(1, 1), bpf.TableReasonDROP_SPOOF_MAC},
				"the victim's MAC": {packet.Eth(packet.MAC(victim), virtual).IPv6(me6, you6).Echo6(1, 1), bpf.TableReasonDROP_SPOOF_MAC},
				"IPv4":             {own.IPv4(it4, you4).UDP(1000, 2000), bpf.TableReasonDROP_SPOOF_ADDRESS},
				"the victim's":     {own.IPv4(you4, you4).UDP(1000, 2000), bpf.TableReasonDROP_SPOOF_ADDRESS},
				"IPv4 of nobody":   {own.IPv4(packet.Other4(9), you4).TCP(1000, 2000), bpf.TableReasonDROP_SPOOF_ADDRESS},
				"IPv6":             {own.IPv6(it6, you6).TCP(1000, 2000), bpf.TableReasonDROP_SPOOF_ADDRESS},
				"behind a tag":     {own.VLAN(5).IPv4(it4, you4).UDP(1000, 2000), bpf.TableReasonDROP_SPOOF_ADDRESS},
				"ARP sender": {packet.Eth(packet.MAC(attacker), packet.MAC(victim)).
					ARPReply(packet.MAC(attacker), it4, packet.MAC(victim), you4), bpf.TableReasonDROP_SPOOF_NEIGHBOUR},
				"ARP MAC": {packet.Eth(packet.MAC(attacker), packet.Broadcast()).
					ARPRequest(packet.MAC(third), me4, you4), bpf.TableReasonDROP_SPOOF_NEIGHBOUR},
				"ND target": {toAll.IPv6(me6, all).NeighbourAdvert(it6, packet.TargetLink(packet.MAC(attacker))),
					bpf.TableReasonDROP_SPOOF_NEIGHBOUR},
				"ND source": {own.IPv6(it6, you6).NeighbourSolicit(you6, packet.SourceLink(packet.MAC(attacker))),
					bpf.TableReasonDROP_SPOOF_NEIGHBOUR},
				"RA": {toAll.IPv6(netip.MustParseAddr("fe80::2"), all).RouterAdvert(packet.SourceLink(packet.MAC(attacker))),
					bpf.TableReasonDROP_ROUTER_ADVERT},
				"RA to one": {own.IPv6(me6, you6).RouterAdvert(), bpf.TableReasonDROP_ROUTER_ADVERT},
				"redirect":  {own.IPv6(me6, you6).Redirect(me6, it6), bpf.TableReasonDROP_ROUTER_ADVERT},
			} {
				before := r.counted(c.reason)
				require.NoError(t, unix.Sendto(out, c.Build(t), 0, eth0))
				testutil.Eventually(t, settleTimeout, func() error {
					if r.counted(c.reason) != before+1 {
						return fmt.Errorf("%s: not dropped as %s", name, c.reason)
					}
					return nil
				})
			}
			// Those above were dropped before this one was sent, which may pass.
			mark := "this one is honest"
			for _, to := range []netip.Addr{you4, it4} {
				require.NoError(t, unix.Sendto(out, own.IPv4(me4, to).UDP(1000, 2000).Raw([]byte(mark)).Build(t), 0, eth0))
			}
			for who, fd := range heard {
				require.NoError(t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 20}))
				require.NoError(t, onlyHears(fd, mark), who)
			}
		})
	}
}

// onlyHears reads what comes to a namespace, and takes nothing but one frame, which ends in mark.
func onlyHears(fd int, mark string) error {
	b := make([]byte, 2000)
	for {
		n, at, err := unix.Recvfrom(fd, b, 0)
		if err != nil {
			return fmt.Errorf("wait for %q: %w", mark, err)
		}
		if at.(*unix.SockaddrLinklayer).Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		if n >= len(mark) && string(b[n-len(mark):n]) == mark {
			return nil
		}
		return fmt.Errorf("got %x", b[:n])
	}
}
