// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/encap"
	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/packet"
	"github.com/mizar-go/mizar/internal/testutil"
)

// Tenants' endpoints: two that mind their business, on a host each, and one on the first host that attacks.
// All tenants have the same.
const (
	attacker = 0x66
	askPort  = 7000 // where the others serve
)

func mac(n byte) net.HardwareAddr { return net.HardwareAddr{2, 0, 0, 0, 0, n} }
func addr4(n byte) netip.Addr     { return netip.AddrFrom4([4]byte{10, 0, 0, n}) }
func addr6(n byte) netip.Addr {
	return netip.AddrFrom16([16]byte{0: 0x20, 1: 0x01, 2: 0x0d, 3: 0xb8, 5: 7, 15: n})
}

// attack is frames in the making.
type attack struct {
	t      testing.TB
	frames [][]byte
}

func (a *attack) add(p packet.Packet) { a.frames = append(a.frames, p.Build(a.t)) }

func ask(p packet.Packet, mark string) packet.Packet {
	return p.UDP(askPort, askPort, packet.Checksummed()).Raw([]byte(mark))
}

// tenantAttack is what an endpoint may try on its own tenant's and on others. Frames with the mark forged
// may arrive nowhere; those with the mark honest are of its own MAC and address, and may at its own tenant's.
func tenantAttack(t testing.TB, hosts []netip.Addr, other uint32, honest, forged string) [][]byte {
	a := &attack{t: t}
	me, virtual := mac(attacker), net.HardwareAddr(virtualMAC)
	eth := packet.Eth(me, virtual)
	for _, n := range []byte{1, 2} {
		for _, ip := range []func(byte) netip.Addr{addr4, addr6} {
			my, victim, third := ip(attacker), ip(n), ip(3-n)
			// Another's MAC, another's address, both; the victim's own.
			a.add(ask(packet.Eth(mac(3-n), virtual).IP(my, victim), forged))
			a.add(ask(eth.IP(third, victim), forged))
			a.add(ask(packet.Eth(mac(3-n), virtual).IP(third, victim), forged))
			a.add(ask(packet.Eth(mac(n), mac(n)).IP(victim, victim), forged))
			a.add(ask(packet.Eth(me, mac(n)).IP(third, victim), forged))
			a.add(eth.IP(third, victim).TCP(askPort, askPort, packet.TCPFlags(packet.RST)).Raw([]byte(forged)))
			// Behind tags and headers.
			a.add(ask(eth.VLAN(5).IP(third, victim), forged))
			a.add(ask(eth.VLAN(5).VLAN(6).IP(my, victim), forged))
			a.add(ask(eth.SNAP().IP(my, victim), forged))
			a.add(ask(packet.Eth(me, packet.Broadcast()).IP(my, victim), forged))
			for _, f := range ask(eth.IP(third, victim), forged+forged).Split(t, 32, uint16(n)) {
				a.add(f)
			}
			// Allowed: so that forging is all that stands between this and the victims.
			a.add(ask(eth.IP(my, victim), honest))
			a.add(ask(eth.VLAN(5).IP(my, victim), honest))
			for _, f := range ask(eth.IP(my, victim), honest+honest+honest).Split(t, 56, uint16(n)) {
				a.add(f)
			}
			// A tunnel packet inside its own tenant stays one inside.
			a.add(ask(eth.Tunnel(my, victim, other).Eth(mac(3-n), mac(n)).IP(third, victim), honest))
			for _, host := range hosts {
				for _, from := range append(hosts, addr4(attacker)) {
					inner := ask(packet.Eth(mac(3-n), mac(n)).IP(third, victim), forged)
					a.add(eth.Tunnel(from, host, other).Packet(inner))
					a.add(eth.Tunnel(from, host, other, packet.RTS(from, 4)).Packet(inner))
				}
			}
		}
		a.frames = append(a.frames, neighbourAttack(t, n, packet.Packet{})...)
		a.add(eth.IPv4(addr4(3-n), addr4(n)).FragmentationNeeded(576).
			Quote(ask(packet.Eth(mac(n), virtual).IPv4(addr4(n), addr4(3-n)), forged), 128))
		a.add(eth.IPv6(addr6(3-n), addr6(n)).PacketTooBig(1280).
			Quote(ask(packet.Eth(mac(n), virtual).IPv6(addr6(n), addr6(3-n)), forged), 128))
		a.add(ask(eth.IPv6(packet.Mapped(addr4(attacker)), packet.Mapped(addr4(n))), forged))
	}
	return a.frames
}

// neighbourAttack says that the attacker is victim n's neighbour, and router. It is put behind the headers
// given.
func neighbourAttack(t testing.TB, n byte, behind packet.Packet) [][]byte {
	a := &attack{t: t}
	me, third := mac(attacker), byte(3-n)
	all := netip.MustParseAddr("ff02::1")
	a.add(behind.Eth(me, mac(n)).ARPReply(me, addr4(third), mac(n), addr4(n)))
	a.add(behind.Eth(me, packet.Broadcast()).ARPReply(me, addr4(third), packet.Broadcast(), addr4(third)))
	a.add(behind.Eth(me, packet.Broadcast()).ARPRequest(me, addr4(third), addr4(n)))
	a.add(behind.Eth(me, mac(n)).ARPRequest(mac(third), addr4(third), addr4(n)))
	for _, to := range []struct {
		mac  net.HardwareAddr
		addr netip.Addr
	}{{mac(n), addr6(n)}, {packet.MulticastMAC(all), all}} {
		frame := behind.Eth(me, to.mac)
		a.add(frame.IPv6(addr6(third), to.addr).NeighbourAdvert(addr6(third), packet.TargetLink(me)))
		a.add(frame.IPv6(addr6(attacker), to.addr).NeighbourAdvert(addr6(third), packet.TargetLink(me)))
		a.add(frame.IPv6(addr6(third), to.addr).NeighbourSolicit(addr6(n), packet.SourceLink(me)))
		a.add(frame.IPv6(netip.MustParseAddr("fe80::66"), to.addr).RouterAdvert(packet.SourceLink(me)))
		a.add(frame.IPv6(netip.MustParseAddr("fe80::66"), to.addr).Redirect(addr6(attacker), addr6(third)))
	}
	return a.frames
}

// underlayAttack is what a host that is no peer may try on the hosts, by address, with these MACs. It does
// not forge peers' addresses: nothing is said to hold then.
func underlayAttack(t testing.TB, from *host, hosts []*host, macs []net.HardwareAddr, vnis []uint32, forged string) [][]byte {
	a := &attack{t: t}
	for i, h := range hosts {
		eth, peer := packet.Eth(mac(attacker), macs[i]), hosts[(i+1)%len(hosts)].addr
		sources := []netip.Addr{from.addr, h.addr}
		for _, s := range []string{"0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255"} {
			sources = append(sources, netip.MustParseAddr(s))
		}
		options := [][]packet.GeneveField{nil}
		for _, to := range []netip.Addr{from.addr, peer} {
			options = append(options, []packet.GeneveField{packet.RTS(to, 4)}, []packet.GeneveField{packet.CriticalRTS(to, 4)})
		}
		for _, vni := range vnis {
			for _, n := range []byte{1, 2} {
				for _, ip := range []func(byte) netip.Addr{addr4, addr6} {
					inner := ask(packet.Eth(mac(3-n), mac(n)).IP(ip(3-n), ip(n)), forged)
					for _, option := range options {
						for _, source := range sources {
							a.add(eth.Tunnel(source, h.addr, vni, option...).Packet(inner))
						}
						// As the tables have IPv4, but not as the wire does.
						a.add(eth.Tunnel(packet.Mapped(peer), packet.Mapped(h.addr), vni, option...).Packet(inner))
					}
					for _, f := range eth.Tunnel(from.addr, h.addr, vni).Packet(inner).Split(t, 64, uint16(n)) {
						a.add(f)
					}
					a.add(eth.IP(from.addr, h.addr).UDP(encap.Port, encap.Port+1).Geneve(vni).Packet(inner))
					a.add(eth.VLAN(5).Tunnel(from.addr, h.addr, vni).Packet(inner))
				}
				a.frames = append(a.frames, neighbourAttack(t, n, eth.Tunnel(from.addr, h.addr, vni))...)
			}
		}
		quoted := packet.Eth(macs[i], mac(attacker)).Tunnel(h.addr, peer, vnis[0]).
			Packet(ask(packet.Eth(mac(1), mac(2)).IP(addr4(1), addr4(2)), forged))
		a.add(eth.IPv4(from.addr, h.addr).FragmentationNeeded(68).Quote(quoted, 128))
	}
	return a.frames
}

// flood sends frames over and over, until stop is called. An interface may go away under it.
func flood(t testing.TB, ns *netns.Handle, name string, frames [][]byte) (stop func() (sent int)) {
	t.Helper()
	f := rawSocket(t, ns, name, false)
	end := make(chan struct{})
	finish := sync.OnceFunc(func() { close(end) })
	sent := 0
	var done sync.WaitGroup
	t.Cleanup(func() { finish(); done.Wait() })
	done.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-end:
				return
			case <-tick.C:
			}
			_, err := f.Write(frames[i%len(frames)])
			switch {
			case err == nil:
				sent++
			case errors.Is(err, unix.ENETDOWN), errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENOBUFS):
			default:
				t.Errorf("send frame %d: %v", i%len(frames), err)
				return
			}
		}
	})
	return func() int {
		finish()
		done.Wait()
		_ = f.Close()
		return sent
	}
}

// linkMAC is an interface's.
func linkMAC(t testing.TB, ns *netns.Handle, name string) net.HardwareAddr {
	t.Helper()
	return testutil.Link(t, ns, name).Attrs().HardwareAddr
}
