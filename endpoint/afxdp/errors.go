// SPDX-License-Identifier: Apache-2.0

package afxdp

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/maps"
)

var (
	// ErrFrame: the frame is not the caller's: it was sent or released, received before the last Recv, or
	// is of another socket.
	ErrFrame = errors.New("not the caller's frame")
	// ErrTooBig: the packet does not fit into a frame.
	ErrTooBig = errors.New("packet does not fit into a frame")
	// ErrNoFrame: all buffers are in use.
	ErrNoFrame = errors.New("no free frame")
	// ErrNotTunnel: the frame is no tunnel packet: something other than Geneve in UDP to the port.
	ErrNotTunnel = errors.New("no tunnel packet")
	// ErrMalformed: the frame is a tunnel packet whose lengths contradict each other, or a part of one.
	// Errors of package encap tell what is wrong with its Geneve header.
	ErrMalformed = errors.New("malformed tunnel packet")
	// ErrRing: the kernel's description of a ring makes no sense.
	ErrRing = errors.New("ring is not where it should be")
)

// errEmpty: nothing was written to the frame.
var errEmpty = fmt.Errorf("frame is empty: %w", maps.ErrInvalid)

// invalid makes an error of a caller's mistake.
func invalid(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, maps.ErrInvalid)...)
}

// explain gives the kernel's answer to a call its typed error.
func explain(err error) error {
	switch {
	case err == nil:
		return nil
	case is(err, unix.EPERM, unix.EACCES):
		return fmt.Errorf("%w: it takes CAP_NET_RAW, CAP_NET_ADMIN and CAP_BPF: %w", bpf.ErrPermission, err)
	case is(err, unix.EBUSY, unix.EEXIST):
		return fmt.Errorf("%w: %w", maps.ErrExists, err)
	case is(err, netns.ErrNotNetNS):
		return fmt.Errorf("%w: %w", maps.ErrInvalid, err)
	case is(err, unix.ENODEV, unix.ENXIO, fs.ErrNotExist):
		return fmt.Errorf("%w: %w", maps.ErrNotFound, err)
	case is(err, unix.EOPNOTSUPP, unix.EAFNOSUPPORT, unix.EPROTONOSUPPORT):
		return fmt.Errorf("%w: %w", bpf.ErrNotSupported, err)
	case is(err, unix.ENOBUFS):
		return fmt.Errorf("memory that may be locked (RLIMIT_MEMLOCK, CAP_IPC_LOCK) is too little: %w", err)
	}
	return err
}

// waited tells why waiting for the socket ended. Beside the deadline, that it was closed is all that the
// runtime's poller has to say, by an error of its own.
func waited(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return os.ErrDeadlineExceeded
	}
	return net.ErrClosed
}

func is(err error, targets ...error) bool {
	for _, t := range targets {
		if errors.Is(err, t) {
			return true
		}
	}
	return false
}
