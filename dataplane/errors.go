// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/cilium/ebpf"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/internal/bpffs"
	"github.com/mizar-go/mizar/maps"
)

var (
	// ErrLocked: another process, or another [Dataplane] of this one, has the instance open.
	ErrLocked = errors.New("open elsewhere")
	// ErrNetNS: the instance belongs to another network namespace.
	ErrNetNS = errors.New("belongs to another network namespace")
)

// What the layers below return, for callers that import no more than this package.
var (
	ErrNotFound     = maps.ErrNotFound    // no such row, or interface
	ErrExists       = maps.ErrExists      // there is one already
	ErrFull         = maps.ErrFull        // a table has no room; see [Config.Limits]
	ErrInvalid      = maps.ErrInvalid     // the argument makes no sense
	ErrClosed       = maps.ErrClosed      // the data-plane was closed or destroyed before
	ErrNotSupported = bpf.ErrNotSupported // the kernel or a driver lacks what is asked for
	ErrPermission   = bpf.ErrPermission   // a capability is missing
	ErrABI          = bpf.ErrABI          // pinned is what this version of the library does not know
	ErrNotOwned     = bpffs.ErrNotOwned   // pinned is what other users made, or can change
	ErrNotMounted   = bpffs.ErrNotMounted // no bpffs is at the path, to be inspected
	ErrReadOnly     = bpffs.ErrReadOnly   // bpffs cannot be mounted, or written to
	ErrPrivate      = bpffs.ErrPrivate    // pins would be lost with the process: a private /sys
)

// explain gives what the kernel denied, and no layer below put a name to, its typed error.
func explain(err error) error {
	var verifier *ebpf.VerifierError
	switch {
	case errors.As(err, &verifier):
		// The verifier says EACCES, too: bpf tells the two apart.
	case errors.Is(err, fs.ErrPermission) && !errors.Is(err, ErrPermission):
		return fmt.Errorf("%w: %w", ErrPermission, err)
	}
	return err
}
