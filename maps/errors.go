// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/bpf"
)

var (
	// ErrNotFound: there is no row of that key.
	ErrNotFound = errors.New("not found")
	// ErrExists: there is such a row already, or what it asks for is another's.
	ErrExists = errors.New("exists already")
	// ErrFull: the table, or one that the row needs an entry of, has no room left.
	ErrFull = errors.New("table is full")
	// ErrInvalid: the row or key makes no sense. Nothing was written.
	ErrInvalid = errors.New("invalid")
	// ErrReadOnly: the tables were opened to be read only.
	ErrReadOnly = errors.New("tables are read-only")
	// ErrClosed: the tables were closed.
	ErrClosed = errors.New("tables are closed")
)

// explain gives what the kernel says of a map its typed error.
func explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ebpf.ErrKeyNotExist):
		return ErrNotFound
	case errors.Is(err, ebpf.ErrKeyExist):
		return ErrExists
	case errors.Is(err, unix.E2BIG), errors.Is(err, unix.ENOSPC): // a hash says one, a trie the other
		return ErrFull
	case errors.Is(err, unix.EBADF):
		return ErrClosed
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w: it takes CAP_BPF, and a descriptor to write by: %w", bpf.ErrPermission, err)
	}
	return err
}

// naming puts the object before what went wrong with it.
func naming(err error, verb string, object any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %v: %w", verb, object, err)
}
