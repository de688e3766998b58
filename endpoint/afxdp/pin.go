// SPDX-License-Identifier: Apache-2.0

package afxdp

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"

	"github.com/mizar-go/mizar/bpf"
)

// Names of what is pinned in [Config.Pin].
const (
	pinnedSockets   = "sockets"
	pinnedUnclaimed = "unclaimed"
	pinnedProgram   = "program" // its attachment
)

// adopt takes over what is pinned, if it is this interface's: then it is attached already. What is of an interface
// that is gone is removed.
func (p *Port) adopt(c Config, queues int) (there bool, err error) {
	if c.Pin == "" {
		return false, nil
	}
	l, err := link.LoadPinnedLink(filepath.Join(c.Pin, pinnedProgram), nil)
	if errors.Is(err, fs.ErrNotExist) {
		return false, Remove(c.Pin) // whoever died pinning it
	}
	if err != nil {
		return false, fmt.Errorf("open pinned program: %w: %w", bpf.ErrABI, err)
	}
	info, err := l.Info()
	if err != nil || info.XDP() == nil {
		return false, errors.Join(fmt.Errorf("open pinned program: %w: it is attached to no interface", bpf.ErrABI), err, l.Close())
	}
	if int(info.XDP().Ifindex) != p.Ifindex {
		return false, errors.Join(l.Close(), Remove(c.Pin))
	}
	p.program, p.pinned = l, true
	if p.table, err = ebpf.LoadPinnedMap(filepath.Join(c.Pin, pinnedSockets), nil); err != nil {
		return false, fmt.Errorf("open pinned map of sockets: %w", explain(err))
	}
	p.ours = true
	if p.unclaimed, err = ebpf.LoadPinnedMap(filepath.Join(c.Pin, pinnedUnclaimed), nil); err != nil {
		return false, fmt.Errorf("open pinned count: %w", explain(err))
	}
	if p.table.Type() != ebpf.XSKMap || int(p.table.MaxEntries()) < queues || p.unclaimed.Type() != ebpf.PerCPUArray {
		return false, fmt.Errorf("open pinned map of sockets: %w: a %v for %d queues, not %d", bpf.ErrABI, p.table.Type(), p.table.MaxEntries(), queues)
	}
	p.Why = "it was attached before"
	return true, nil
}

// pin has what was attached stay. The attachment goes last: what is half there, the next removes.
func (p *Port) pin(dir string) error {
	if dir == "" {
		return nil
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("pin: %w", err)
	}
	err := p.table.Pin(filepath.Join(dir, pinnedSockets))
	if err == nil {
		err = p.unclaimed.Pin(filepath.Join(dir, pinnedUnclaimed))
	}
	if err == nil {
		err = p.program.Pin(filepath.Join(dir, pinnedProgram))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("pin: %w", explain(err)), Remove(dir))
	}
	return nil
}

// Remove takes off the program that a Port with [Config.Pin] left, and removes the pins. Where there is nothing, it
// does nothing.
func Remove(dir string) error {
	var errs []error
	for _, name := range []string{pinnedProgram, pinnedSockets, pinnedUnclaimed} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove pinned function: %w", err)
	}
	return nil
}

// Unclaimed reads how many packets no socket was there for, since the program was attached: of a queue that has
// none, or of a function that is dead. Of one that is pinned it can be read without a Port, by [Unclaimed].
func (p *Port) Unclaimed() (uint64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.unclaimed == nil {
		return 0, fmt.Errorf("read what no socket took: %w", os.ErrClosed)
	}
	return count(p.unclaimed)
}

// Unclaimed is [Port.Unclaimed] of what is pinned in a directory, also while its function is dead.
func Unclaimed(dir string) (uint64, error) {
	m, err := ebpf.LoadPinnedMap(filepath.Join(dir, pinnedUnclaimed), &ebpf.LoadPinOptions{ReadOnly: true})
	if err != nil {
		return 0, fmt.Errorf("open pinned count: %w", explain(err))
	}
	defer m.Close()
	return count(m)
}

func count(m *ebpf.Map) (sum uint64, err error) {
	var each []uint64
	if err := m.Lookup(uint32(0), &each); err != nil {
		return 0, fmt.Errorf("read what no socket took: %w", explain(err))
	}
	for _, n := range each {
		sum += n
	}
	return sum, nil
}

// attachNew attaches a program of our own, and pins it where that was asked for.
func (p *Port) attachNew(c Config, dev netlink.Link) (err error) {
	program, err := NewProgram(p.table, p.unclaimed, c.PassOthers)
	if err != nil {
		return err
	}
	defer program.Close()
	if p.program, p.Mode, p.Why, err = attach(program, dev, c.Mode); err != nil {
		return err
	}
	if err := p.pin(c.Pin); err != nil {
		return err
	}
	p.pinned = c.Pin != ""
	return nil
}
