// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"
)

const (
	icmpHeader = 8
	pingStamp  = 16 // token and number, in each request

	echoReply4, unreachable4, echoRequest4, exceeded4, parameter4 = 0, 3, 8, 11, 12

	unreachable6, tooBig6, exceeded6, parameter6, echoRequest6, echoReply6 = 1, 2, 3, 4, 128, 129
)

// ICMPError is an error message that a request met on its way.
type ICMPError struct {
	From       netip.Addr // who says so
	Type, Code uint8      // of ICMP, or of ICMPv6 where From is IPv6
	MTU        int        // bytes, where it says that the packet was too big; else zero
}

// Error has it in words.
func (e *ICMPError) Error() string {
	s := fmt.Sprintf("ICMP type %d code %d from %s", e.Type, e.Code, e.From)
	if e.MTU != 0 {
		s += fmt.Sprintf(", MTU %d", e.MTU)
	}
	return s
}

// answer is what came back for a request.
type answer struct {
	number uint64 // of the request; its low 16 bits where err is set
	at     time.Time
	err    *ICMPError
}

// echo knows the requests of one pinger among all ICMP that its namespace receives.
type echo struct {
	v6    bool
	id    uint16
	token uint64
	size  int
}

// request builds one, of number n.
func (e *echo) request(n uint64) []byte {
	b := make([]byte, icmpHeader+e.size)
	b[0] = echoRequest4
	if e.v6 {
		b[0] = echoRequest6
	}
	binary.BigEndian.PutUint16(b[4:], e.id)
	binary.BigEndian.PutUint16(b[6:], uint16(n))
	binary.BigEndian.PutUint64(b[8:], e.token)
	binary.BigEndian.PutUint64(b[16:], n)
	for i := icmpHeader + pingStamp; i < len(b); i++ {
		b[i] = byte(i)
	}
	if !e.v6 { // the kernel does it for ICMPv6
		binary.BigEndian.PutUint16(b[2:], checksum(b))
	}
	return b
}

// parse reads an ICMP message, without IP header, and tells whether it answers a request of ours.
func (e *echo) parse(b []byte, from netip.Addr) (answer, bool) {
	if len(b) < icmpHeader {
		return answer{}, false
	}
	if (e.v6 && b[0] == echoReply6) || (!e.v6 && b[0] == echoReply4) {
		if len(b) != icmpHeader+e.size || !e.ours(b) || binary.BigEndian.Uint64(b[8:]) != e.token {
			return answer{}, false
		}
		for i := icmpHeader + pingStamp; i < len(b); i++ {
			if b[i] != byte(i) {
				return answer{}, false // not what we sent: as good as lost
			}
		}
		return answer{number: binary.BigEndian.Uint64(b[16:])}, true
	}
	quoted, ok := e.quoted(b)
	if !ok || !e.ours(quoted) {
		return answer{}, false
	}
	failure := &ICMPError{From: from, Type: b[0], Code: b[1]}
	if e.v6 && b[0] == tooBig6 || !e.v6 && b[0] == unreachable4 && b[1] == 4 {
		failure.MTU = int(binary.BigEndian.Uint32(b[4:]))
	}
	return answer{number: uint64(binary.BigEndian.Uint16(quoted[6:])), err: failure}, true
}

// ours compares the identifier of an echo message.
func (e *echo) ours(b []byte) bool {
	return binary.BigEndian.Uint16(b[4:]) == e.id
}

// quoted is the echo request that an ICMP error quotes.
func (e *echo) quoted(b []byte) ([]byte, bool) {
	b, kind := b[icmpHeader:], b[0]
	var header int
	var request uint8
	switch {
	case e.v6 && kind >= unreachable6 && kind <= parameter6:
		header, request = 40, echoRequest6
	case !e.v6 && (kind == unreachable4 || kind == exceeded4 || kind == parameter4) && len(b) > 0:
		header, request = int(b[0]&0xf)*4, echoRequest4
	default:
		return nil, false
	}
	if len(b) < header+icmpHeader || b[header] != request {
		return nil, false
	}
	return b[header:], true
}

// checksum is the Internet's, over an even or odd number of bytes.
func checksum(b []byte) uint16 {
	var sum uint32
	for i, x := range b {
		if i%2 == 0 {
			sum += uint32(x) << 8
		} else {
			sum += uint32(x)
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
