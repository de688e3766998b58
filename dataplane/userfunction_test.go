// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/droplet"
	"github.com/mizar-go/mizar/endpoint"
	"github.com/mizar-go/mizar/endpoint/afxdp"
	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

// echo is a network function in user space: it answers every UDP datagram with its payload, upside down.
type echo struct {
	port  *afxdp.Port
	hosts sync.Map // netip.Addr: outer sources that it saw
	stop  func()
	fails atomic.Uint64
}

func startEcho(t *testing.T, ns *netns.Handle) *echo {
	t.Helper()
	e, err := newEcho(t.Context(), fdPath(ns.FD()), "")
	require.NoError(t, err)
	t.Logf("function: %v: %s", e.port.Mode, e.port.Why)
	t.Cleanup(e.stop)
	return e
}

// newEcho runs it, pinned or not.
func newEcho(ctx context.Context, ns, pin string) (*echo, error) {
	p, err := afxdp.Open(ctx, afxdp.Config{Interface: "eth0", NetNS: ns, Pin: pin})
	if err != nil {
		return nil, err
	}
	e := &echo{port: p}
	var done sync.WaitGroup
	for _, s := range p.Sockets() {
		done.Go(func() { e.run(s) })
	}
	e.stop = sync.OnceFunc(func() {
		p.Close()
		done.Wait()
	})
	return e, nil
}

func (e *echo) run(s *afxdp.Socket) {
	frames := make([]afxdp.Frame, 64)
	var tunnel afxdp.Tunnel
	for {
		n, err := s.Recv(frames)
		if err != nil {
			return
		}
		for i := range frames[:n] {
			f := &frames[i]
			if err := e.answer(f, &tunnel); err != nil {
				e.fails.Add(1)
				f.Release()
			}
		}
		if _, err := s.Send(frames[:n]); err != nil && !errors.Is(err, net.ErrClosed) {
			e.fails.Add(1)
		}
	}
}

func (e *echo) answer(f *afxdp.Frame, tunnel *afxdp.Tunnel) error {
	if err := f.Decode(tunnel); err != nil {
		return err
	}
	e.hosts.Store(tunnel.Source, true)
	if tunnel.Header.VNI != vni {
		return fmt.Errorf("VNI %d", tunnel.Header.VNI)
	}
	ip := tunnel.Inner[14:]
	if len(ip) < 28 || ip[0] != 0x45 || ip[9] != 17 || internetChecksum(ip[:20]) != 0 {
		return errors.New("no IPv4 and UDP")
	}
	udp := ip[20:]
	length := int(binary.BigEndian.Uint16(udp[4:]))
	if length < 8 || length > len(udp) || binary.BigEndian.Uint16(udp[6:]) == 0 {
		return errors.New("no UDP, or without checksum")
	}
	// What XDP sees is to be whole: also the checksum of what the same host sent.
	pseudo := append(append([]byte(nil), ip[12:20]...), 0, 17, udp[4], udp[5])
	if internetChecksum(append(pseudo, udp[:length]...)) != 0 {
		return errors.New("wrong UDP checksum")
	}
	var source [4]byte
	copy(source[:], ip[12:16])
	copy(ip[12:16], ip[16:20])
	copy(ip[16:20], source[:])
	udp[0], udp[1], udp[2], udp[3] = udp[2], udp[3], udp[0], udp[1]
	for i, j := 8, length-1; i < j; i, j = i+1, j-1 {
		udp[i], udp[j] = udp[j], udp[i]
	}
	udp[6], udp[7] = 0, 0
	return f.Answer(tunnel, ip[:20+length])
}

// internetChecksum is RFC 1071's.
func internetChecksum(b []byte) uint16 {
	var sum uint32
	for i, v := range b {
		sum += uint32(v) << (8 * (1 - i%2))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// asks sends a datagram to the function, again and again, and gives the answer.
func asks(t *testing.T, from *netns.Handle, to string, payload string) string {
	t.Helper()
	var got string
	testutil.In(t, from, func() error {
		conn, err := net.Dial("udp", to)
		if err != nil {
			return err
		}
		defer conn.Close()
		for range 50 {
			if _, err := conn.Write([]byte(payload)); err != nil {
				return err
			}
			b := make([]byte, 2000)
			if err := conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
				return err
			}
			n, err := conn.Read(b)
			if err == nil {
				got = string(b[:n])
				return nil
			}
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				return err
			}
		}
		return errors.New("no answer")
	})
	return got
}

// A function endpoint has an AF_XDP socket. It answers endpoints of another host and of its own, in every mode; when
// it dies, what is sent to it is lost, and nobody else notices.
func TestFunctionInUserSpace(t *testing.T) {
	inEachMode(t, func(t *testing.T, mode droplet.Mode) {
		f := newFleet(t, mode)
		ctx := t.Context()
		dp, far := f.a.open(t), f.b.open(t)
		ns := testutil.NewNS(t)
		ep, err := dp.Endpoint.Create(ctx, endpoint.Config{
			VNI: vni, Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.53/24")}, NetNS: endpoint.FD(ns.FD()),
			HostInterface: "mzfn", Function: true, Mode: agentMode(mode),
		})
		require.NoError(t, err)
		require.True(t, ep.Function)
		require.Equal(t, 1500, ep.MTU)
		for l, err := range dp.Endpoint.Local(ctx) {
			require.NoError(t, err)
			require.Equal(t, l.HostInterface == "mzfn", l.Function)
		}
		require.NoError(t, far.Endpoint.Add(ctx, maps.Endpoint{VNI: vni, Addr: ep.Addrs[0], Host: f.a.addr, Function: true}))

		e := startEcho(t, ns)
		for name, from := range map[string]*netns.Handle{"another host": f.far, "the same host": f.web} {
			require.Equal(t, "noitcnuf", asks(t, from, "10.0.0.53:53", "function"), name)
		}
		// As they came: from the host of the endpoint, or from none.
		for _, host := range []netip.Addr{f.b.addr, netip.MustParseAddr("192.0.0.8")} {
			_, seen := e.hosts.Load(host)
			require.True(t, seen, host)
		}
		stop := f.ping(t)
		e.stop()
		testutil.In(t, f.far, func() error {
			conn, err := net.Dial("udp", "10.0.0.53:53")
			if err != nil {
				return err
			}
			defer conn.Close()
			for range 5000 {
				if _, err := conn.Write(make([]byte, 64)); err != nil {
					return err
				}
			}
			return nil
		})
		stop() // none of the others' is lost
		e = startEcho(t, ns)
		require.Equal(t, "niaga", asks(t, f.far, "10.0.0.53:53", "again"))
		e.stop()
		require.NoError(t, dp.Close())
		require.NoError(t, far.Close())
		f.destroy(t)
	})
}

// floodFunction sends datagrams to the function until it is stopped.
func floodFunction(t *testing.T, from *netns.Handle) (stop func()) {
	t.Helper()
	var conn net.Conn
	testutil.In(t, from, func() (err error) {
		conn, err = net.Dial("udp", "10.0.0.53:53")
		return err
	})
	var end atomic.Bool
	var done sync.WaitGroup
	done.Go(func() {
		for b := make([]byte, 64); !end.Load(); {
			conn.Write(b)
		}
	})
	stop = sync.OnceFunc(func() {
		end.Store(true)
		done.Wait()
		conn.Close()
	})
	t.Cleanup(stop)
	return stop
}

// A function that is flooded and killed, and one that does not listen, lose what is sent to them; the traffic of other
// endpoints does not notice, and counters say what happened.
func TestDeadFunction(t *testing.T) {
	testutil.Leaks(t)
	f := newFleet(t, droplet.TCX)
	ctx := t.Context()
	dp, far := f.a.open(t), f.b.open(t)
	ns := testutil.NewNS(t)
	_, err := dp.Endpoint.Create(ctx, endpoint.Config{
		VNI: vni, Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.53/24")}, NetNS: endpoint.FD(ns.FD()),
		HostInterface: "mzfn", Function: true,
	})
	require.NoError(t, err)
	require.NoError(t, far.Endpoint.Add(ctx, maps.Endpoint{VNI: vni, Addr: netip.MustParseAddr("10.0.0.53"), Host: f.a.addr}))
	pin := filepath.Join(f.a.bpffs, function)
	kill := f.a.child(t, function, nil, ns)
	require.Equal(t, "olleh", asks(t, f.far, "10.0.0.53:53", "hello"))

	alive := f.ping(t)
	stop := floodFunction(t, f.far)
	kill()
	testutil.Eventually(t, patience, func() error {
		if n, err := afxdp.Unclaimed(pin); err != nil || n < 1000 {
			return fmt.Errorf("%d were not claimed: %v", n, err)
		}
		return nil
	})
	// The next takes over, and does not listen.
	deaf, err := afxdp.Open(ctx, afxdp.Config{Interface: "eth0", NetNS: fdPath(ns.FD()), Pin: pin})
	require.NoError(t, err)
	testutil.Eventually(t, patience, func() error {
		s, err := deaf.Sockets()[0].Stats()
		if lost := s.RingFull + s.Dropped + s.FillEmpty; err != nil || lost < 1000 {
			return fmt.Errorf("%d were lost: %v", lost, err)
		}
		return nil
	})
	stop()
	alive()
	require.NoError(t, deaf.Close())
	kill = f.a.child(t, function, nil, ns)
	require.Equal(t, "niaga", asks(t, f.far, "10.0.0.53:53", "again"))
	kill()
	require.NoError(t, afxdp.Remove(pin))
	require.NoError(t, dp.Close())
	require.NoError(t, far.Close())
	f.destroy(t)
}
