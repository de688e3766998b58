// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/packet"
	"github.com/mizar-go/mizar/internal/testutil"
)

// rawSocket is for whole frames of an interface, as the wire has them.
func rawSocket(t testing.TB, ns *netns.Handle, name string, receive bool) *os.File {
	t.Helper()
	index := testutil.Ifindex(t, ns, name)
	fd := -1
	testutil.In(t, ns, func() (err error) {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		return err
	})
	f := os.NewFile(uintptr(fd), "raw socket")
	t.Cleanup(func() { _ = f.Close() })
	at := &unix.SockaddrLinklayer{Ifindex: index}
	if receive {
		require.NoError(t, unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1))
		require.NoError(t, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20))
		at.Protocol = binary.NativeEndian.Uint16([]byte{unix.ETH_P_ALL >> 8, unix.ETH_P_ALL})
	}
	require.NoError(t, unix.Bind(fd, at))
	return f
}

// sniffer looks at every frame that an interface receives, until it is stopped.
type sniffer struct {
	f     *os.File
	check func(frame []byte) error
	done  sync.WaitGroup

	// Until done.
	frames int
	bad    []error
}

func startSniffer(t testing.TB, ns *netns.Handle, name string, check func([]byte) error) *sniffer {
	t.Helper()
	s := &sniffer{f: rawSocket(t, ns, name, true), check: check}
	s.done.Go(s.run)
	return s
}

func (s *sniffer) run() {
	buffer := make([]byte, 1<<17)
	for {
		n, err := s.f.Read(buffer)
		switch {
		case errors.Is(err, unix.ENETDOWN), errors.Is(err, unix.EINTR):
			continue // the interface went away
		case err != nil:
			if !errors.Is(err, os.ErrClosed) {
				s.bad = append(s.bad, err)
			}
			return
		}
		s.frames++
		if err := s.check(buffer[:n]); err != nil && len(s.bad) < 5 {
			s.bad = append(s.bad, fmt.Errorf("%w: %x", err, buffer[:min(n, 256)]))
		}
	}
}

// stop gives what was wrong with the frames, and how many there were.
func (s *sniffer) stop() (frames int, err error) {
	_ = s.f.Close()
	s.done.Wait()
	return s.frames, errors.Join(s.bad...)
}

// own checks that a frame at a workload comes from its tenant: the payload holds one of the tenant's marks,
// or is cut out of its secret, over and over; neighbours are what the agent says they are.
func own(secret string, marks ...string) func(frame []byte) error {
	over := bytes.Repeat([]byte(secret), 1+(1<<16+1<<8)/len(secret))
	return func(frame []byte) error {
		protocol, payload, err := payloadOf(frame)
		if err != nil || protocol == protocolNeighbour {
			return err
		}
		for _, m := range append(marks, secret) {
			if bytes.Contains(payload, []byte(m)) {
				return nil
			}
		}
		switch protocol {
		case packet.ProtocolICMP, packet.ProtocolICMPv6:
			// The agent says that a segment is too big, and quotes the first bytes of it.
			if len(payload) > 8 && bytes.Equal(frame[6:12], virtualMAC) {
				payload = payload[len(payload)-8:]
			}
		case packet.ProtocolTCP:
		default:
			return errors.New("a payload that is not the tenant's")
		}
		if bytes.Contains(over, payload) {
			return nil
		}
		return errors.New("a payload that is not the tenant's")
	}
}

// protocolNeighbour is what payloadOf calls ARP and neighbour discovery, of the agent's.
const protocolNeighbour = 255

var virtualMAC = []byte{0xfe, 0x6d, 0x69, 0x7a, 0x61, 0x72}

// payloadOf gives what is behind the headers of TCP, UDP and ICMP; of a fragment that is not the first, all
// behind IP.
func payloadOf(b []byte) (protocol byte, payload []byte, err error) {
	short := errors.New("a frame cut short")
	if len(b) < 14+28 {
		return 0, nil, short
	}
	source, typ := b[6:12], binary.BigEndian.Uint16(b[12:])
	b = b[14:]
	later := false // fragment
	switch typ {
	case packet.TypeARP:
		if !bytes.Equal(source, virtualMAC) || !bytes.Equal(b[8:14], virtualMAC) {
			return 0, nil, errors.New("ARP of another than the agent")
		}
		return protocolNeighbour, nil, nil
	case packet.TypeIPv4:
		header, total := int(b[0]&0xf)*4, int(binary.BigEndian.Uint16(b[2:]))
		if total < header || len(b) < total {
			return 0, nil, short
		}
		protocol, later = b[9], binary.BigEndian.Uint16(b[6:])&0x1fff != 0
		b = b[header:total]
	case packet.TypeIPv6:
		if len(b) < 40 || len(b) < 40+int(binary.BigEndian.Uint16(b[4:])) {
			return 0, nil, short
		}
		protocol = b[6]
		b = b[40 : 40+int(binary.BigEndian.Uint16(b[4:]))]
		if protocol == packet.ProtocolFragment && len(b) >= 8 {
			protocol, later = b[0], binary.BigEndian.Uint16(b[2:])&^7 != 0
			b = b[8:]
		}
		if protocol == packet.ProtocolICMPv6 && !later && len(b) > 0 && b[0] >= packet.RouterSolicitType && b[0] <= packet.RedirectType {
			if !bytes.Equal(source, virtualMAC) || b[0] != packet.NeighbourAdvertType {
				return 0, nil, errors.New("neighbour discovery of another than the agent")
			}
			return protocolNeighbour, nil, nil
		}
	default:
		return 0, nil, fmt.Errorf("a frame of type %#04x", typ)
	}
	header := 8
	switch {
	case later:
		header = 0
	case protocol == packet.ProtocolTCP:
		if len(b) < 20 {
			return 0, nil, short
		}
		header = int(b[12]>>4) * 4
	}
	if len(b) < header {
		return 0, nil, short
	}
	return protocol, b[header:], nil
}
