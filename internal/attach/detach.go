// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"errors"
	"fmt"
	"os"

	"github.com/cilium/ebpf"
)

// Detach takes a program off an interface, and its pin away. That there is none, or that the interface
// is gone, is fine. A clsact qdisc stays: see [DetachClsact].
func Detach(dir string, ifindex int, h Hook) error {
	a, err := open(dir, ifindex, h)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err == nil {
		err = errors.Join(a.detach(), a.Close())
	}
	if err == nil {
		err = unpin(dir, ifindex, h)
	}
	if err != nil {
		return fmt.Errorf("detach %s from interface %d: %w", h, ifindex, err)
	}
	return nil
}

// Update puts another program in the place of the one attached, without a moment in between. Where
// nothing is attached any more it gives [ErrNotFound].
func Update(dir string, ifindex int, h Hook, p *ebpf.Program) error {
	if p == nil || !h.valid() || p.Type() != h.kind() {
		return fmt.Errorf("update %s of interface %d: program: %w", h, ifindex, ErrInvalid)
	}
	a, err := open(dir, ifindex, h)
	if err == nil {
		err = errors.Join(a.update(p), a.Close())
	}
	if err != nil {
		return fmt.Errorf("update %s of interface %d: %w", h, ifindex, err)
	}
	return nil
}

// Pinned is an attachment that a directory holds.
type Pinned struct {
	Ifindex int
	Hook    Hook
	Program ebpf.ProgramID // the kernel's number of the program
	Gone    bool           // the interface, or what was attached to it, is gone: only Detach is left
}

// List tells what is pinned in dir, in the order of the names. Other files there are passed over.
func List(dir string) ([]Pinned, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list attachments: %w", err)
	}
	var all []Pinned
	for _, e := range entries {
		h, ifindex, ok := parsePinName(e.Name())
		if !ok {
			continue
		}
		p, err := inspect(dir, ifindex, h)
		if errors.Is(err, ErrNotFound) {
			continue // gone since
		}
		if err != nil {
			return nil, fmt.Errorf("list attachments: %w", err)
		}
		all = append(all, p)
	}
	return all, nil
}

func inspect(dir string, ifindex int, h Hook) (Pinned, error) {
	p := Pinned{Ifindex: ifindex, Hook: h}
	a, err := open(dir, ifindex, h)
	if err != nil {
		return p, err
	}
	defer a.Close()
	alive, err := a.alive()
	if err != nil {
		return p, err
	}
	p.Gone = !alive
	p.Program, err = a.program()
	return p, err
}
