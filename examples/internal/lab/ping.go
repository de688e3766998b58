// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"
)

const patience = time.Second // for an answer

// icmp is how a family pings.
type icmp struct {
	network, any   string
	request, reply byte
}

func icmpTo(to netip.Addr) icmp {
	if to.Is6() {
		return icmp{"ip6:ipv6-icmp", "::", 128, 129}
	}
	return icmp{"ip4:icmp", "0.0.0.0", 8, 0}
}

// Ping sends echo requests one after the other, each when the one before was answered, and gives
// their round trips. One that is not answered within a second is an error.
func (n *Namespace) Ping(ctx context.Context, to netip.Addr, count int) (trips []time.Duration, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("ping %s from %s: %w", to, n.Name, err)
		}
	}()
	proto := icmpTo(to)
	var conn net.PacketConn
	if err := n.Do(func() (err error) {
		conn, err = net.ListenPacket(proto.network, proto.any)
		return err
	}); err != nil {
		return nil, err
	}
	defer conn.Close()
	for seq := range count {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		trip, err := echo(conn, proto, to, uint16(os.Getpid()), uint16(seq))
		if err != nil {
			return nil, err
		}
		trips = append(trips, trip)
	}
	return trips, nil
}

func echo(conn net.PacketConn, proto icmp, to netip.Addr, id, seq uint16) (time.Duration, error) {
	request := make([]byte, 64)
	request[0] = proto.request
	binary.BigEndian.PutUint16(request[4:], id)
	binary.BigEndian.PutUint16(request[6:], seq)
	if to.Is4() { // that of IPv6 covers the addresses, too: the kernel writes it
		binary.BigEndian.PutUint16(request[2:], checksum(request))
	}
	start := time.Now()
	if err := conn.SetDeadline(start.Add(patience)); err != nil {
		return 0, err
	}
	if _, err := conn.WriteTo(request, &net.IPAddr{IP: to.AsSlice()}); err != nil {
		return 0, err
	}
	reply := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFrom(reply)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return 0, fmt.Errorf("echo %d: no answer within %v", seq, patience)
		}
		if err != nil {
			return 0, err
		}
		if n == len(request) && reply[0] == proto.reply && from.String() == to.String() &&
			string(reply[4:8]) == string(request[4:8]) {
			return time.Since(start), nil
		}
	}
}

// checksum is the internet's (RFC 1071), of an even number of bytes whose own is still zero.
func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
