// SPDX-License-Identifier: Apache-2.0

package droplet

import (
	"errors"
	"fmt"
	"os"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/internal/attach"
	"github.com/mizar-go/mizar/maps"
)

var (
	// ErrNoInterface: there is no interface of that name in the data-plane's namespace.
	ErrNoInterface = errors.New("no such interface")
	// ErrNoAddress: the interface has no address that other hosts could reach.
	ErrNoAddress = errors.New("no address")
	// ErrMTU: the interface's MTU leaves an endpoint less than 1280 bytes.
	ErrMTU = errors.New("MTU too small")
	// ErrBusy: something else is attached where a program of ours has to go, or has a name of ours.
	ErrBusy = attach.ErrBusy
)

// explain gives an answer of the kernel that has no type yet its own.
func explain(err error) error {
	if errors.Is(err, os.ErrPermission) && !errors.Is(err, bpf.ErrPermission) {
		return fmt.Errorf("%w: it takes CAP_NET_ADMIN and CAP_BPF, and CAP_SYS_ADMIN for another namespace: %w",
			bpf.ErrPermission, err)
	}
	return err
}

// absent takes it as done where there was nothing to delete.
func absent(err error) error {
	if errors.Is(err, maps.ErrNotFound) {
		return nil
	}
	return err
}
