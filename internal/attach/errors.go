// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/bpf"
)

var (
	// ErrBusy: something is attached there already, ours or another's.
	ErrBusy = errors.New("something is attached already")
	// ErrNotFound: no such interface, or nothing of ours is attached to it (any more).
	ErrNotFound = errors.New("not found")
	// ErrInvalid: the call makes no sense.
	ErrInvalid = errors.New("invalid argument")
)

// explain gives the kernel's answer to a call its typed error.
func explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Errorf("%w: it takes CAP_BPF and CAP_NET_ADMIN: %w", bpf.ErrPermission, err)
	case errors.Is(err, unix.EBUSY), errors.Is(err, unix.EEXIST):
		return fmt.Errorf("%w: %w", ErrBusy, err)
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENOLINK):
		return fmt.Errorf("interface is gone: %w: %w", ErrNotFound, err)
	case errors.Is(err, ebpf.ErrNotSupported):
		return fmt.Errorf("%w: %w", bpf.ErrNotSupported, err)
	}
	return err
}

// refusals are what a driver, or the kernel for it, says to an XDP program that it does not take. Its
// words reach only netlink callers, so ours have to do.
var refusals = map[unix.Errno]string{
	unix.EOPNOTSUPP: "the driver has no such mode",
	unix.EINVAL:     "the driver does not take the program, in this mode or with these settings",
	unix.ERANGE:     "the MTU is too large for it",
	unix.ENOSPC:     "it takes as many receive queues as the peer has transmit queues",
	unix.ENOTCONN:   "the device has no peer",
}
