// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/internal/attach"
	"github.com/mizar-go/mizar/internal/ethtool"
	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/maps"
)

var (
	// ErrMTU: the MTU is below what the endpoint's address families need (1280 for IPv6, 576 for IPv4),
	// above what an interface takes, or what the droplets leave is.
	ErrMTU = errors.New("mtu does not fit")
	// ErrBusy: another program is attached to the interface that was to be adopted.
	ErrBusy = attach.ErrBusy
)

// invalid makes an error of a caller's mistake.
func invalid(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, maps.ErrInvalid)...)
}

// explain gives the kernel's answer to a call its typed error.
func explain(err error) error {
	var missing netlink.LinkNotFoundError
	switch {
	case err == nil:
		return nil
	case is(err, maps.ErrNotFound, maps.ErrExists, maps.ErrInvalid, bpf.ErrPermission, bpf.ErrNotSupported):
		return err
	case is(err, unix.EPERM, unix.EACCES):
		return fmt.Errorf("%w: it takes CAP_NET_ADMIN, CAP_SYS_ADMIN and CAP_BPF: %w", bpf.ErrPermission, err)
	case errors.As(err, &missing), is(err, unix.ENODEV, attach.ErrNotFound):
		return fmt.Errorf("%w: %w", maps.ErrNotFound, err)
	case is(err, unix.EOPNOTSUPP, unix.EAFNOSUPPORT, ethtool.ErrRefused):
		return fmt.Errorf("%w: %w", bpf.ErrNotSupported, err)
	case is(err, netns.ErrNotNetNS):
		return fmt.Errorf("%w: %w", maps.ErrInvalid, err)
	case is(err, fs.ErrNotExist, unix.ESRCH):
		return fmt.Errorf("%w: %w", maps.ErrNotFound, err)
	}
	return err
}

func is(err error, targets ...error) bool {
	for _, t := range targets {
		if errors.Is(err, t) {
			return true
		}
	}
	return false
}

// notSupported is what no kernel of ours, or no such device, can do.
func notSupported(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, bpf.ErrNotSupported)...)
}
