// SPDX-License-Identifier: Apache-2.0

package plumb

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/dataplane"
	"github.com/mizar-go/mizar/examples/transitd/internal/ovs"
)

var (
	// ErrNotFound: it is not there, or not ours to remove.
	ErrNotFound = dataplane.ErrNotFound
	// ErrExists: the name is taken.
	ErrExists = dataplane.ErrExists
	// ErrInvalid: the argument makes no sense.
	ErrInvalid = dataplane.ErrInvalid
	// ErrNotOurs: somebody else made what is there. It is an [ErrExists].
	ErrNotOurs = ovs.ErrNotOurs
	// ErrInUse: something else would go with it.
	ErrInUse = errors.New("in use")
	// ErrNotUndone: what a change that failed did could not be taken back.
	ErrNotUndone = errors.New("not taken back")
)

func invalid(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, ErrInvalid)...)
}

// explain gives the kernel's answer its typed error.
func explain(err error) error {
	var missing netlink.LinkNotFoundError
	switch {
	case err == nil:
		return nil
	case is(err, ErrNotFound, ErrExists, ErrInvalid, dataplane.ErrPermission, dataplane.ErrNotSupported):
		return err
	case errors.As(err, &missing), is(err, unix.ENODEV, unix.ESRCH, unix.EADDRNOTAVAIL):
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	case is(err, unix.EEXIST):
		return fmt.Errorf("%w: %w", ErrExists, err)
	case is(err, fs.ErrPermission, unix.EROFS):
		return fmt.Errorf("%w: it takes CAP_NET_ADMIN, and a writable /proc/sys/net: %w", dataplane.ErrPermission, err)
	case is(err, unix.EOPNOTSUPP, unix.EAFNOSUPPORT):
		return fmt.Errorf("%w: %w", dataplane.ErrNotSupported, err)
	case is(err, unix.EINVAL, unix.ERANGE, unix.ENETUNREACH, unix.EHOSTUNREACH, unix.ENETDOWN, unix.ELOOP):
		return fmt.Errorf("%w: %w", ErrInvalid, err)
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
