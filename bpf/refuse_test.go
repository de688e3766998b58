// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/internal/testutil"
)

// refusal is the frame by which an endpoint's host says in its name that what was sent is too big.
func refusal(t testing.TB, from, to netip.Addr, mtu uint16, refused []byte) []byte {
	t.Helper()
	eth := &layers.Ethernet{SrcMAC: macA, DstMAC: macVirtual, EthernetType: layers.EthernetTypeIPv4}
	if from.Is4() {
		return frame(t, eth, &layers.IPv4{Version: 4, TTL: 64, Flags: layers.IPv4DontFragment, Protocol: layers.IPProtocolICMPv4,
			SrcIP: from.AsSlice(), DstIP: to.AsSlice()},
			&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(3, 4), Seq: mtu}, gopacket.Payload(refused[14:14+68]))
	}
	eth.EthernetType = layers.EthernetTypeIPv6
	ip := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolICMPv6, SrcIP: from.AsSlice(), DstIP: to.AsSlice()}
	icmp := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(2, 0)}
	require.NoError(t, icmp.SetNetworkLayerForChecksum(ip))
	return frame(t, eth, ip, icmp, gopacket.Payload(binary.BigEndian.AppendUint32(nil, uint32(mtu))), gopacket.Payload(refused[14:14+128]))
}

// A packet that is larger than the endpoint takes: its sender is told, straight, however the packet came.
func TestTooBigForTheEndpoint(t *testing.T) {
	const takes = 1300
	var all []packetCase
	for _, u := range underlays {
		for _, in := range overlays {
			head := 28 // L3 and UDP
			if in.a.Is6() {
				head = 48
			}
			prepare := func(r *rig) {
				in.by(u)(r)
				r.put(r.tables.Agents, uint32(r.agents[0]), TableAgent{Vni: vni, Mac: [6]byte(macA), Mtu: takes})
			}
			name := " " + in.name + " in " + u.name
			fits := inner(t, macFar, macVirtual, in.far, in.a, takes-head)
			big := inner(t, macFar, macVirtual, in.far, in.a, takes-head+1)
			out := tunnel(t, u.host, u.far, vni, nil, refusal(t, in.a, in.far, takes, big))
			tagged := mutate(big, func([]byte) {})
			tagged = append(tagged[:12:12], append([]byte{0x81, 0, 0, 5}, tagged[12:]...)...)
			stranger := netip.MustParseAddr("203.0.113.99")
			all = append(all,
				packetCase{name: "fits" + name, in: tunnel(t, u.far, u.host, vni, nil, fits), prepare: prepare,
					reason: TableReasonREASON_DELIVER, out: delivered(fits, macA)},
				packetCase{name: "straight" + name, in: tunnel(t, u.far, u.host, vni, nil, big), prepare: prepare,
					reason: TableReasonREASON_TOO_BIG_REPLY, out: out},
				packetCase{name: "bounced" + name, in: tunnel(t, u.bouncer, u.host, vni, rts(u.far, 3, false), big), prepare: prepare,
					reason: TableReasonREASON_TOO_BIG_REPLY, out: out},
				packetCase{name: "tagged" + name, in: tunnel(t, u.far, u.host, vni, nil, tagged), prepare: prepare,
					reason: TableReasonDROP_TOO_BIG},
				packetCase{name: "for a host that is no peer" + name, prepare: func(r *rig) {
					prepare(r)
					r.remove(r.tables.Endpoints, TableEndpointKey{Vni: vni, Addr: address(in.far)})
				}, in: tunnel(t, u.bouncer, u.host, vni, rts(stranger, 3, false), big), reason: TableReasonDROP_TOO_BIG})
		}
	}
	for i := range all {
		all[i].from = -1
	}
	newRig(t).table(all)
}

// The sender's own stack believes it, in both families, and sends what fits.
func TestLiveTooBigForTheEndpoint(t *testing.T) {
	const takes = 1300
	for _, mode := range []string{"tcx", "xdp"} {
		t.Run(mode, func(t *testing.T) {
			a, b := live(t, mode == "xdp")
			defer logCounters(t, a, b)
			inNS(t, b.workload, func() error {
				l, err := netlink.LinkByName("eth0")
				if err != nil {
					return err
				}
				return netlink.LinkSetMTU(l, takes)
			})
			r := &rig{t: t, tables: b.tables}
			r.put(b.tables.Agents, uint32(b.agent), TableAgent{Vni: vni, Flags: TableAgentFlagsAGENT_PEER, Mac: [6]byte(macB), Mtu: takes})
			for _, to := range []netip.Addr{b4, b6} {
				var c net.Conn
				inNS(t, a.workload, func() (err error) {
					d := net.Dialer{Control: dontFragment}
					c, err = d.Dial("udp", netip.AddrPortFrom(to, 2000).String())
					return err
				})
				defer c.Close()
				testutil.Eventually(t, 20*time.Second, func() error {
					if _, err := c.Write(make([]byte, takes)); !errors.Is(err, unix.EMSGSIZE) {
						return errors.New("nobody said that it is too big")
					}
					return nil
				})
				head := 28
				if to.Is6() {
					head = 48
				}
				got := listenUDP(t, b.workload, netip.AddrPortFrom(to, 2000))
				receives(t, got, make([]byte, takes-head), func() {
					c.Write(make([]byte, takes-head)) // may tell of the last one's size
				})
			}
		})
	}
}

func dontFragment(_, _ string, c syscall.RawConn) (err error) {
	controlled := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO)
	})
	return errors.Join(controlled, err)
}
