// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/testutil"
)

// packetSocket sees, and sends, the frames of a namespace's interfaces.
func packetSocket(t testing.TB, ns *netns.Handle) int {
	t.Helper()
	var fd int
	testutil.In(t, ns, func() (err error) {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(binary.BigEndian.Uint16([]byte{0, unix.ETH_P_ALL})<<8))
		return err
	})
	t.Cleanup(func() { require.NoError(t, unix.Close(fd)) })
	return fd
}

// received counts the packets that the host's stack has seen, of both families.
func received(t testing.TB, ns *netns.Handle) (n int) {
	t.Helper()
	testutil.In(t, ns, func() error {
		v4, err := os.ReadFile("/proc/thread-self/net/snmp")
		require.NoError(t, err)
		var names []string
		for line := range strings.Lines(string(v4)) {
			fields := strings.Fields(line)
			if fields[0] != "Ip:" {
				continue
			}
			for i := range names {
				if names[i] == "InReceives" {
					n += atoi(t, fields[i])
				}
			}
			names = fields
		}
		v6, err := os.ReadFile("/proc/thread-self/net/snmp6")
		require.NoError(t, err)
		for line := range strings.Lines(string(v6)) {
			if fields := strings.Fields(line); fields[0] == "Ip6InReceives" {
				n += atoi(t, fields[1])
			}
		}
		return nil
	})
	return n
}

func atoi(t testing.TB, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	require.NoError(t, err)
	return n
}

// A workload that sends all the time, also while its interface comes and goes, gets nothing into the
// host's stack.
func TestNothingReachesHost(t *testing.T) {
	for _, mode := range []Mode{TCX, Native, Generic} {
		t.Run(mode.String(), func(t *testing.T) {
			r := newRig(t, bpf.Limits{})
			ns := testutil.NewNS(t)
			fd := packetSocket(t, ns)
			eth := layers.Ethernet{SrcMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, DstMAC: layers.EthernetBroadcast, EthernetType: layers.EthernetTypeIPv4}
			ip := layers.IPv4{Version: 4, TTL: 9, Protocol: layers.IPProtocolUDP, SrcIP: net.IPv4(192, 0, 2, 10), DstIP: net.IPv4bcast}
			frame := gopacket.NewSerializeBuffer()
			require.NoError(t, gopacket.SerializeLayers(frame, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, &eth, &ip, gopacket.Payload("let me in")))

			ctx, cancel := context.WithCancel(t.Context())
			var sent atomic.Int64
			done := make(chan error, 1)
			go func() {
				done <- ns.Do(func() error {
					for ctx.Err() == nil {
						dev, err := net.InterfaceByName("eth0")
						if err != nil {
							continue
						}
						for ctx.Err() == nil {
							if unix.Sendto(fd, frame.Bytes(), 0, &unix.SockaddrLinklayer{Ifindex: dev.Index, Halen: 6}) == unix.ENXIO {
								break // it is gone
							}
							sent.Add(1)
						}
					}
					return nil
				})
			}()
			c := dual(ns)
			c.Mode = mode
			for i := range 8 {
				if i%2 == 1 { // unwound at the end
					r.failAt = func(step string) error {
						if step == "done" {
							return errFault
						}
						return nil
					}
				}
				was := sent.Load()
				e, err := r.Create(t.Context(), c)
				r.failAt = nil
				testutil.Eventually(t, settleTimeout, func() error {
					if i%2 == 0 && sent.Load() < was+100 {
						return fmt.Errorf("sent %d", sent.Load()-was)
					}
					return nil
				})
				if i%2 == 1 {
					require.ErrorIs(t, err, errFault)
					continue
				}
				require.NoError(t, err)
				require.NoError(t, r.Delete(t.Context(), e.HostInterface))
			}
			cancel()
			require.NoError(t, <-done)
			require.Zero(t, received(t, r.host), "of %d sent", sent.Load())
		})
	}
}

// With the default routes, a workload asks for whoever it wants to reach, near or far, at once.
func TestDefaultRoutesReach(t *testing.T) {
	r := newRig(t, bpf.Limits{})
	ns := testutil.NewNS(t)
	fd := packetSocket(t, r.host)
	require.NoError(t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}))
	c := dual(ns)
	c.Addrs = prefixes("192.0.2.10/32", "2001:db8:7::10/128")
	e := r.create(c)
	for _, dst := range []string{"203.0.113.77", "2001:db8:ffff::77"} {
		to := netip.AddrPortFrom(netip.MustParseAddr(dst), 9)
		testutil.In(t, ns, func() error {
			conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
			if err != nil {
				return err
			}
			defer conn.Close()
			local := conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
			require.Contains(t, e.Addrs, local, "what %s is sent from", dst)
			_, err = conn.Write([]byte("hello"))
			return err
		})
		require.NoError(t, asked(fd, to.Addr()))
	}
	require.NoError(t, r.Delete(t.Context(), e.HostInterface))
}

// asked waits for an ARP or neighbour request.
func asked(fd int, target netip.Addr) error {
	b := make([]byte, 2000)
	for until := time.Now().Add(settleTimeout); time.Now().Before(until); {
		n, _, err := unix.Recvfrom(fd, b, 0)
		if err != nil {
			return fmt.Errorf("wait for a request for %s: %w", target, err)
		}
		p := gopacket.NewPacket(b[:n], layers.LayerTypeEthernet, gopacket.Default)
		if arp, ok := p.Layer(layers.LayerTypeARP).(*layers.ARP); ok && bytes.Equal(arp.DstProtAddress, target.AsSlice()) {
			return nil
		}
		if ns, ok := p.Layer(layers.LayerTypeICMPv6NeighborSolicitation).(*layers.ICMPv6NeighborSolicitation); ok && ns.TargetAddress.Equal(target.AsSlice()) {
			return nil
		}
	}
	return fmt.Errorf("nobody asked for %s", target)
}
