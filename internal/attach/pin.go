// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/pin"

	"github.com/mizar-go/mizar/bpf"
)

// attachment is what a pin stands for.
type attachment interface {
	alive() (bool, error)
	program() (ebpf.ProgramID, error)
	update(*ebpf.Program) error
	detach() error // fine where it is gone; the pin stays
	Close() error
}

// open reads the pin of a hook, and refuses one that is not what we pin there.
func open(dir string, ifindex int, h Hook) (attachment, error) {
	path := filepath.Join(dir, pinName(h, ifindex))
	object, err := pin.Load(path, nil)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	if err != nil {
		return nil, explain(err)
	}
	switch o := object.(type) {
	case link.Link:
		l := &linked{Link: o, ifindex: ifindex}
		if err := l.check(h); err != nil {
			return nil, errors.Join(fmt.Errorf("pin %s: %w", path, err), o.Close())
		}
		return l, nil
	case *ebpf.Program:
		if h.XDP() || o.Type() != h.kind() {
			return nil, errors.Join(fmt.Errorf("pin %s: %w: a program of type %s", path, bpf.ErrABI, o.Type()), o.Close())
		}
		return &filtered{Program: o, dir: dir, ifindex: ifindex, hook: h}, nil
	}
	return nil, errors.Join(fmt.Errorf("pin %s: %w: neither link nor program", path, bpf.ErrABI), object.Close())
}

// unpin removes what stands in the directory for a hook.
func unpin(dir string, ifindex int, h Hook) error {
	var errs []error
	for _, name := range []string{pinName(h, ifindex), stagedName(h, ifindex)} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("unpin: %w", err))
		}
	}
	return errors.Join(errs...)
}

// clearPin removes the pin of an attachment that is gone. One that works is in the way.
func clearPin(dir string, ifindex int, h Hook) error {
	a, err := open(dir, ifindex, h)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	defer a.Close()
	alive, err := a.alive()
	if err != nil {
		return err
	}
	if alive {
		return fmt.Errorf("%s is pinned there: %w", pinName(h, ifindex), ErrBusy)
	}
	return unpin(dir, ifindex, h)
}
