// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"

	"github.com/mizar-go/mizar/examples/internal/lab"
	"golang.org/x/sys/unix"
)

// tap is a packet socket on a workload's interface: it has every frame that comes and goes, whole.
type tap struct{ fd int }

func newTap(n *lab.Namespace) (*tap, error) {
	t := &tap{fd: -1}
	err := n.Do(func() error {
		dev, err := net.InterfaceByName(device)
		if err != nil {
			return err
		}
		if t.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		if err := unix.SetsockoptInt(t.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 32<<20); err != nil {
			return err
		}
		all := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
		return unix.Bind(t.fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: dev.Index})
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("tap %s of %s: %w", device, n.Name, err), t.close())
	}
	return t, nil
}

// send puts a frame on the wire as it is.
func (t *tap) send(frame []byte) error { return unix.Send(t.fd, frame, 0) }

// frames are those that passed since the last time, in either direction, and are of the kind.
func (t *tap) frames(kind func(frame []byte) bool) (frames [][]byte, err error) {
	for b := make([]byte, 64<<10); ; {
		n, _, err := unix.Recvfrom(t.fd, b, unix.MSG_DONTWAIT)
		switch err {
		case nil:
			if kind(b[:n]) {
				frames = append(frames, bytes.Clone(b[:n]))
			}
		case unix.EAGAIN:
			return frames, nil
		case unix.EINTR:
		default:
			return nil, fmt.Errorf("read frames: %w", err)
		}
	}
}

func (t *tap) close() error {
	if t.fd < 0 {
		return nil
	}
	return unix.Close(t.fd)
}

// toPort is of UDP over IPv4 without options, to a port.
func toPort(port uint16) func([]byte) bool {
	return func(frame []byte) bool {
		return len(frame) >= 14+20+8 && binary.BigEndian.Uint16(frame[12:]) == unix.ETH_P_IP && frame[14] == 0x45 &&
			frame[14+9] == unix.IPPROTO_UDP && binary.BigEndian.Uint16(frame[14+20+2:]) == port
	}
}
