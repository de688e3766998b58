// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/bpf"
)

// Our filters are known by priority and handle. The first priority, as tcx goes first too.
const (
	filterPriority = 1
	filterHandle   = 0x6d7a
)

// filtered is an attachment by a filter of clsact. The program is the pinned one.
type filtered struct {
	*ebpf.Program
	dir     string
	ifindex int
	hook    Hook
}

func newFilter(ifindex int, h Hook, p *ebpf.Program) *netlink.BpfFilter {
	return &netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: ifindex,
			Parent:    netlink.HANDLE_MIN_INGRESS,
			Handle:    filterHandle,
			Protocol:  unix.ETH_P_ALL,
			Priority:  filterPriority,
		},
		Fd:           p.FD(),
		Name:         "mizar_" + h.String(),
		DirectAction: true,
	}
}

// attachClsact makes the qdisc if there is none, pins and attaches.
func (s *Spec) attachClsact() (err error) {
	made, err := addClsact(s.Ifindex)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil && made {
			err = errors.Join(err, DetachClsact(s.Ifindex))
		}
	}()
	// The pin comes first: whoever dies after it leaves something that List shows.
	if err := pinCopy(s.Program, s.path()); err != nil {
		return err
	}
	if err := netlink.FilterAdd(newFilter(s.Ifindex, s.Hook, s.Program)); err != nil {
		// EINVAL: the priority is taken by filters of another kind.
		if errors.Is(err, unix.EINVAL) {
			err = fmt.Errorf("priority %d of its filters: %w: %w", filterPriority, ErrBusy, err)
		}
		return errors.Join(fmt.Errorf("add filter: %w", explain(err)), unpin(s.Dir, s.Ifindex, s.Hook))
	}
	return nil
}

// pinCopy pins a program which may be pinned elsewhere: Pin would move that one.
func pinCopy(p *ebpf.Program, path string) error {
	c, err := p.Clone()
	if err != nil {
		return fmt.Errorf("pin program: %w", err)
	}
	if err := c.Pin(path); err != nil {
		return errors.Join(fmt.Errorf("pin program: %w", err), c.Close())
	}
	return c.Close()
}

// stagedName is the pin of a program that is about to replace another.
func stagedName(h Hook, ifindex int) string {
	return "next_" + pinName(h, ifindex)
}

// find is our filter on the interface; nil if there is none, or another data-plane's.
func (f *filtered) find() (*netlink.BpfFilter, error) {
	dev, err := device(f.ifindex)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	filters, err := netlink.FilterList(dev, netlink.HANDLE_MIN_INGRESS)
	if err != nil {
		return nil, fmt.Errorf("list filters of %s: %w", dev.Attrs().Name, explain(err))
	}
	own, err := f.programs()
	if err != nil {
		return nil, err
	}
	for _, x := range filters {
		b, ok := x.(*netlink.BpfFilter)
		if ok && b.Priority == filterPriority && b.Handle == filterHandle && own[ebpf.ProgramID(b.Id)] {
			return b, nil
		}
	}
	return nil, nil
}

// programs are those that the filter may have: the pinned one and, where an update was cut short, the
// one that was about to replace it.
func (f *filtered) programs() (map[ebpf.ProgramID]bool, error) {
	id, err := f.program()
	if err != nil {
		return nil, err
	}
	own := map[ebpf.ProgramID]bool{id: true}
	staged, err := ebpf.LoadPinnedProgram(filepath.Join(f.dir, stagedName(f.hook, f.ifindex)), nil)
	if errors.Is(err, fs.ErrNotExist) {
		return own, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read staged program: %w", explain(err))
	}
	defer staged.Close()
	if id, err = programID(staged); err != nil {
		return nil, err
	}
	own[id] = true
	return own, nil
}

func (f *filtered) alive() (bool, error) {
	b, err := f.find()
	return b != nil, err
}

func (f *filtered) program() (ebpf.ProgramID, error) {
	return programID(f.Program)
}

func programID(p *ebpf.Program) (ebpf.ProgramID, error) {
	info, err := p.Info()
	if err != nil {
		return 0, fmt.Errorf("read program: %w", explain(err))
	}
	id, ok := info.ID()
	if !ok {
		return 0, fmt.Errorf("read program: %w: its number", bpf.ErrNotSupported)
	}
	return id, nil
}

// update replaces the filter's program in place, which the kernel does in one step, and then the pin.
func (f *filtered) update(p *ebpf.Program) error {
	b, err := f.find()
	if err != nil {
		return err
	}
	if b == nil {
		return fmt.Errorf("filter: %w", ErrNotFound)
	}
	path := filepath.Join(f.dir, pinName(f.hook, f.ifindex))
	staged := filepath.Join(f.dir, stagedName(f.hook, f.ifindex))
	if err := os.Remove(staged); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("unpin staged program: %w", err)
	}
	if err := pinCopy(p, staged); err != nil {
		return err
	}
	if err := netlink.FilterReplace(newFilter(f.ifindex, f.hook, p)); err != nil {
		return errors.Join(fmt.Errorf("replace filter: %w", explain(err)), os.Remove(staged))
	}
	if err := os.Rename(staged, path); err != nil {
		err = fmt.Errorf("pin program: %w", err)
		if back := netlink.FilterReplace(newFilter(f.ifindex, f.hook, f.Program)); back != nil {
			return errors.Join(err, fmt.Errorf("put filter back: %w", explain(back)))
		}
		return errors.Join(err, os.Remove(staged))
	}
	return nil
}

func (f *filtered) detach() error {
	b, err := f.find()
	if err != nil || b == nil {
		return err
	}
	b.Fd = -1
	err = netlink.FilterDel(b)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return explain(err)
}
