// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"encoding/binary"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// Sniffer sees every frame that reaches an interface.
type Sniffer struct {
	fd   int
	name string
}

// Sniff listens on an interface of the namespace.
func (n *Namespace) Sniff(name string) (_ *Sniffer, err error) {
	s := &Sniffer{fd: -1, name: n.Name}
	err = n.Do(func() error {
		dev, err := net.InterfaceByName(name)
		if err != nil {
			return err
		}
		// No protocol until it is bound: else it would hear other interfaces in between.
		s.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return err
		}
		return unix.Bind(s.fd, &unix.SockaddrLinklayer{Protocol: bigEndian(unix.ETH_P_ALL), Ifindex: dev.Index})
	})
	if err != nil {
		if s.fd >= 0 {
			unix.Close(s.fd)
		}
		return nil, fmt.Errorf("sniff %s of %s: %w", name, n.Name, err)
	}
	return s, nil
}

// Heard counts the frames that came in since the last call; not those that the namespace sent.
func (s *Sniffer) Heard() (count int, err error) {
	b := make([]byte, 128)
	for {
		_, from, err := unix.Recvfrom(s.fd, b, unix.MSG_DONTWAIT)
		switch err {
		case nil:
		case unix.EAGAIN:
			return count, nil
		case unix.EINTR:
			continue
		default:
			return count, fmt.Errorf("read what %s heard: %w", s.name, err)
		}
		if at, ok := from.(*unix.SockaddrLinklayer); ok && at.Pkttype != unix.PACKET_OUTGOING {
			count++
		}
	}
}

// Close stops listening.
func (s *Sniffer) Close() error {
	return unix.Close(s.fd)
}

func bigEndian(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}
