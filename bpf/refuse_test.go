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

// Whom nobody vouches for is not told, nor is an ICMP error answered with another.
func TestTooBigAndNotAnswered(t *testing.T) {
	const takes = 1300
	r := newRig(t)
	icmp := func(from, to netip.Addr, mac net.HardwareAddr, code layers.ICMPv4TypeCode) []byte {
		ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolICMPv4, SrcIP: from.AsSlice(), DstIP: to.AsSlice()}
		return frame(t, &layers.Ethernet{SrcMAC: mac, DstMAC: macVirtual, EthernetType: layers.EthernetTypeIPv4}, ip,
			&layers.ICMPv4{TypeCode: code}, gopacket.Payload(make([]byte, 1400)))
	}
	icmp6 := func(from, to netip.Addr, mac net.HardwareAddr, code layers.ICMPv6TypeCode) []byte {
		ip := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolICMPv6, SrcIP: from.AsSlice(), DstIP: to.AsSlice()}
		l4 := &layers.ICMPv6{TypeCode: code}
		require.NoError(t, l4.SetNetworkLayerForChecksum(ip))
		return frame(t, &layers.Ethernet{SrcMAC: mac, DstMAC: macVirtual, EthernetType: layers.EthernetTypeIPv6}, ip, l4, gopacket.Payload(make([]byte, 1400)))
	}
	later := inner(t, macFar, macVirtual, f4, a4, 1400)
	later = mutate(later, func(b []byte) { b[20], b[21] = 0x20, 8 })
	unreachable, echo := layers.CreateICMPv4TypeCode(3, 1), layers.CreateICMPv4TypeCode(8, 0)
	unreachable6, echo6 := layers.CreateICMPv6TypeCode(1, 0), layers.CreateICMPv6TypeCode(128, 0)
	in := func(b []byte) []byte { return tunnel(t, far4, host4, vni, nil, b) }
	stranger := netip.MustParseAddr("192.0.2.61") // of the fleet, and no relay of this VPC
	unknown := inner(t, macFar, macVirtual, unknown4, a4, 1400)
	const told, untold = TableReasonREASON_TOO_BIG_REPLY, TableReasonDROP_TOO_BIG
	for _, c := range []struct {
		name   string
		from   int
		in     []byte
		reason TableReason
	}{
		{"by no relay", -1, tunnel(t, stranger, host4, vni, rts(far4, 4, false), unknown), untold},
		{"by a relay", -1, tunnel(t, bouncer4, host4, vni, rts(far4, 4, false), unknown), told},
		{"for itself", -1, tunnel(t, far4, host4, vni, rts(far4, 4, false), unknown), told},
		{"later fragment", -1, in(later), untold},
		{"ICMP error", -1, in(icmp(f4, a4, macFar, unreachable)), untold},
		{"echo", -1, in(icmp(f4, a4, macFar, echo)), told},
		{"ICMPv6 error", -1, in(icmp6(unknown6, a6, macFar, unreachable6)), untold},
		{"echo 6", -1, in(icmp6(unknown6, a6, macFar, echo6)), told},
		{"local ICMP error", 1, icmp(b4, a4, macB, unreachable), untold},
		{"local echo", 1, icmp(b4, a4, macB, echo), told},
		{"sent ICMP error", 1, icmp(b4, f4, macB, unreachable), untold},
		{"sent echo", 1, icmp(b4, f4, macB, echo), told},
	} {
		r.check(packetCase{name: c.name, from: c.from, in: c.in, reason: c.reason, prepare: func(r *rig) {
			r.fill()
			r.put(r.tables.Agents, uint32(r.agents[0]), TableAgent{Vni: vni, Mac: [6]byte(macA), Mtu: takes})
			r.put(r.tables.Paths, address(far4), TablePath{Refreshed: 1, Host: address(far4), Mtu: takes, Expires: 1 << 62})
		}})
	}
	// It moved here, and the host where it was returns what an endpoint here sent: that host is not asking.
	r.check(packetCase{name: "came back", from: -1, in: tunnel(t, far4, host4, vni, rts(far4, 4, true), inner(t, macB, macVirtual, b4, a4, 1400)),
		reason: untold, prepare: func(r *rig) {
			r.fill()
			r.put(r.tables.Agents, uint32(r.agents[0]), TableAgent{Vni: vni, Mac: [6]byte(macA), Mtu: takes})
			r.learned(vni, a4, far4)
		}})
}

// The sender's own stack believes it, in both families, and sends what fits.
func TestLiveTooBigForTheEndpoint(t *testing.T) {
	const takes = 1300
	for _, mode := range []string{"tcx", "xdp"} {
		t.Run(mode, func(t *testing.T) {
			a, b := live(t, mode == "xdp")
			defer logCounters(t, a, b)
			setMTU(t, b, takes)
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
