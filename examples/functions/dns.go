// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/mizar-go/mizar/endpoint/afxdp"
	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"
)

// DNS is a name server in user space: it gets the tunnel packets of a function endpoint by AF_XDP, and answers
// without a socket of the kernel's network stack, nor an address in its namespace.
type DNS struct {
	port  *afxdp.Port
	done  sync.WaitGroup
	zone  atomic.Pointer[map[string][]netip.Addr]
	stats struct{ answered, refused atomic.Uint64 }
}

// NewDNS answers at an interface in a namespace, for no name yet.
func NewDNS(ctx context.Context, netns, device string) (*DNS, error) {
	p, err := afxdp.Open(ctx, afxdp.Config{NetNS: netns, Interface: device})
	if err != nil {
		return nil, err
	}
	d := &DNS{port: p}
	d.Serve(nil)
	for _, s := range p.Sockets() {
		d.done.Go(func() { d.run(s) })
	}
	return d, nil
}

// Serve has it answer for these names, each with a dot at the end, from now on.
func (d *DNS) Serve(zone map[string][]netip.Addr) { d.zone.Store(&zone) }

// Counts are queries that were answered, also that there is no such name, and packets that are none.
func (d *DNS) Counts() (answered, refused uint64) {
	return d.stats.answered.Load(), d.stats.refused.Load()
}

// Close ends it.
func (d *DNS) Close() error {
	err := d.port.Close()
	d.done.Wait()
	return err
}

func (d *DNS) run(s *afxdp.Socket) {
	frames := make([]afxdp.Frame, 64)
	var tunnel afxdp.Tunnel
	for {
		n, err := s.Recv(frames)
		if err != nil {
			return // closed
		}
		for i := range frames[:n] {
			if err := d.answer(&frames[i], &tunnel); err != nil {
				d.stats.refused.Add(1)
				frames[i].Release() // Send passes over it
			} else {
				d.stats.answered.Add(1)
			}
		}
		if _, err := s.Send(frames[:n]); errors.Is(err, net.ErrClosed) {
			return
		}
	}
}

// answer makes the frame its own answer.
func (d *DNS) answer(f *afxdp.Frame, tunnel *afxdp.Tunnel) error {
	if err := f.Decode(tunnel); err != nil {
		return err
	}
	q, err := readQuestion(tunnel.Inner)
	if err != nil {
		return err
	}
	said, err := d.resolve(q.payload)
	if err != nil {
		return err
	}
	return f.Answer(tunnel, q.answer(said))
}

// resolve answers a query for the addresses of one name.
func (d *DNS) resolve(query []byte) ([]byte, error) {
	var p dnsmessage.Parser
	head, err := p.Start(query)
	if err != nil {
		return nil, fmt.Errorf("read query: %w", err)
	}
	if head.Response {
		return nil, errors.New("that is an answer")
	}
	asked, err := p.Question()
	if err != nil {
		return nil, fmt.Errorf("read question: %w", err)
	}
	addrs, known := (*d.zone.Load())[asked.Name.String()]
	answer := dnsmessage.Header{ID: head.ID, Response: true, Authoritative: true, RecursionDesired: head.RecursionDesired}
	if !known {
		answer.RCode = dnsmessage.RCodeNameError
	}
	b := dnsmessage.NewBuilder(nil, answer)
	b.EnableCompression()
	if err := errors.Join(b.StartQuestions(), b.Question(asked), b.StartAnswers()); err != nil {
		return nil, err
	}
	of := dnsmessage.ResourceHeader{Name: asked.Name, Class: dnsmessage.ClassINET, TTL: 60}
	for _, a := range addrs {
		switch {
		case asked.Type == dnsmessage.TypeA && a.Is4():
			err = b.AResource(of, dnsmessage.AResource{A: a.As4()})
		case asked.Type == dnsmessage.TypeAAAA && a.Is6():
			err = b.AAAAResource(of, dnsmessage.AAAAResource{AAAA: a.As16()})
		}
		if err != nil {
			return nil, err
		}
	}
	return b.Finish()
}

// question is a UDP packet to the server, of IPv4 or IPv6, without options.
type question struct {
	from, to         netip.Addr
	fromPort, toPort uint16
	payload          []byte
}

var errNoQuery = errors.New("no UDP packet to port 53")

// readQuestion reads an Ethernet frame.
func readQuestion(frame []byte) (d question, err error) {
	if len(frame) < 14 {
		return d, errNoQuery
	}
	ip, udp := frame[14:], []byte(nil)
	switch kind := binary.BigEndian.Uint16(frame[12:]); {
	case kind == unix.ETH_P_IP && len(ip) >= 28 && ip[0] == 0x45 && ip[9] == unix.IPPROTO_UDP && binary.BigEndian.Uint16(ip[6:])&0x3fff == 0:
		d.from, d.to = netip.AddrFrom4([4]byte(ip[12:])), netip.AddrFrom4([4]byte(ip[16:]))
		udp = ip[20:]
	case kind == unix.ETH_P_IPV6 && len(ip) >= 48 && ip[6] == unix.IPPROTO_UDP:
		d.from, d.to = netip.AddrFrom16([16]byte(ip[8:])), netip.AddrFrom16([16]byte(ip[24:]))
		udp = ip[40:]
	default:
		return d, errNoQuery
	}
	d.fromPort, d.toPort = binary.BigEndian.Uint16(udp), binary.BigEndian.Uint16(udp[2:])
	length := int(binary.BigEndian.Uint16(udp[4:]))
	if d.toPort != 53 || length < 8 || length > len(udp) {
		return d, errNoQuery
	}
	d.payload = udp[8:length]
	return d, nil
}

// answer is an IP packet back, with a payload.
func (d question) answer(payload []byte) []byte {
	length := 8 + len(payload)
	udp := binary.BigEndian.AppendUint16(nil, d.toPort)
	udp = binary.BigEndian.AppendUint16(udp, d.fromPort)
	udp = binary.BigEndian.AppendUint16(udp, uint16(length))
	udp = append(append(udp, 0, 0), payload...)
	addrs := append(d.to.AsSlice(), d.from.AsSlice()...)
	// RFC 768, and RFC 8200, section 8.1: over a pseudo header too; 0 would be none.
	pseudo := append(append([]byte(nil), addrs...), 0, unix.IPPROTO_UDP, byte(length>>8), byte(length))
	check := sum(append(append(pseudo, udp...), make([]byte, length%2)...))
	if check == 0 {
		check = 0xffff
	}
	binary.BigEndian.PutUint16(udp[6:], check)
	if d.from.Is6() {
		ip := []byte{0x60, 0, 0, 0, byte(length >> 8), byte(length), unix.IPPROTO_UDP, 64}
		return append(append(ip, addrs...), udp...)
	}
	ip := []byte{0x45, 0, byte((20 + length) >> 8), byte(20 + length), 0, 0, 0x40, 0, 64, unix.IPPROTO_UDP, 0, 0}
	ip = append(ip, addrs...)
	binary.BigEndian.PutUint16(ip[10:], sum(ip))
	return append(ip, udp...)
}
