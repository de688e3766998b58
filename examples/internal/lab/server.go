// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
)

// serverPort is where a [Server] listens, in UDP and TCP.
const serverPort = 7

// echoMax is the longest datagram that a server sends back. Longer ones it counts.
const echoMax = 64

// Server answers and counts in a namespace what [Namespace.UDP] and [Namespace.TCP] send to it.
type Server struct {
	udp   *net.UDPConn
	tcp   *net.TCPListener
	done  sync.WaitGroup
	bytes atomic.Uint64 // of long datagrams
}

// Serve starts a server on an address of the namespace.
func (n *Namespace) Serve(addr netip.Addr) (_ *Server, err error) {
	s := new(Server)
	at := netip.AddrPortFrom(addr, serverPort)
	err = n.Do(func() (err error) {
		if s.udp, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(at)); err != nil {
			return err
		}
		if s.tcp, err = net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at)); err != nil {
			return errors.Join(err, s.udp.Close())
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("serve %s in %s: %w", at, n.Name, err)
	}
	s.done.Go(s.datagrams)
	s.done.Go(s.accept)
	return s, nil
}

// Close stops the server, and waits until it has.
func (s *Server) Close() error {
	err := errors.Join(s.udp.Close(), s.tcp.Close())
	s.done.Wait()
	return err
}

func (s *Server) datagrams() {
	b := make([]byte, 2048)
	for {
		n, from, err := s.udp.ReadFromUDPAddrPort(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an ICMP error that somebody sent
		}
		if n > echoMax {
			s.bytes.Add(uint64(n))
			continue
		}
		_, _ = s.udp.WriteToUDPAddrPort(b[:n], from) // unsent, it is missed at the other end
	}
}

func (s *Server) accept() {
	for {
		conn, err := s.tcp.AcceptTCP()
		if err != nil {
			return
		}
		s.done.Go(func() {
			defer conn.Close()
			_ = receive(conn) // cut short, it is missed at the other end
		})
	}
}

// receive reads a stream to its end, and answers how long it was, and its checksum.
func receive(conn *net.TCPConn) error {
	sum := crc32.NewIEEE()
	n, err := io.CopyBuffer(sum, struct{ io.Reader }{conn}, make([]byte, 256<<10))
	if err != nil {
		return err
	}
	_, err = conn.Write(receipt(uint64(n), sum.Sum32()))
	return err
}

func receipt(n uint64, sum uint32) []byte {
	b := binary.BigEndian.AppendUint64(nil, n)
	return binary.BigEndian.AppendUint32(b, sum)
}
