// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"errors"
	"fmt"
	"os"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/internal/attach"
)

// replace has every attachment run the programs of this library: those that are pinned where they are of
// this build, and new ones otherwise. New programs get prog arrays of their own, so that each agent goes on
// to the transit of its build, whenever it is replaced. Until the pins are exchanged a death leaves the old
// programs in their place, for the next Open to go back to or on from.
func (o *opening) replace(build uint64, undo *undo) error {
	old, err := bpf.LoadPinnedPrograms(o.pins.programs())
	if err != nil {
		return missing(err)
	}
	o.programs = old
	// Who died replacing them may have left some of the new ones attached. They go, or the next had no slots to
	// have functions come back by.
	err = o.relink(old, undo)
	if err == nil {
		err = old.KeepEnds(o.tables)
	}
	if err != nil || build == bpf.Build() {
		return err
	}
	o.keep = append(o.keep, old)
	o.programs = nil
	if err := o.step("load programs"); err != nil {
		return err
	}
	if o.programs, err = bpf.LoadPrograms(o.tables); err != nil {
		return err
	}
	undo.add(func() error { return old.KeepEnds(o.tables) })
	if err := errors.Join(o.programs.WireTransit(), o.programs.WireStages(o.tables)); err != nil {
		return err
	}
	// Pinned first: a prog array that loses its last descriptor is emptied under the programs.
	dir, err := o.pins.begin()
	if err != nil {
		return err
	}
	undo.add(func() error { return os.RemoveAll(dir) })
	if err := o.programs.Pin(dir); err != nil {
		return err
	}
	if err := o.relink(o.programs, undo); err != nil {
		return err
	}
	if err := o.step("exchange"); err != nil {
		return err
	}
	exchange := func() error {
		if err := unix.Renameat2(unix.AT_FDCWD, dir, unix.AT_FDCWD, o.pins.programs(), unix.RENAME_EXCHANGE); err != nil {
			return fmt.Errorf("exchange pinned programs: %w", err)
		}
		return nil
	}
	if err := exchange(); err != nil {
		return err
	}
	undo.add(exchange)
	return nil
}

// relink gives every attachment the program wanted, if it has another: of an older build, or of a newer one
// that somebody died installing.
func (o *opening) relink(want *bpf.Programs, undo *undo) error {
	pinned, err := o.links()
	if err != nil {
		return err
	}
	changed := false
	for _, l := range pinned {
		to, is, err := program(want, l)
		if err != nil {
			return err
		}
		if is || l.Gone {
			continue
		}
		before, err := ebpf.NewProgramFromID(l.Program)
		if err != nil {
			return fmt.Errorf("open program of %s on interface %d: %w", l.Hook, l.Ifindex, err)
		}
		o.keep = append(o.keep, before)
		if err := o.step("update link"); err != nil {
			return err
		}
		switch err := o.update(l, to); {
		case errors.Is(err, attach.ErrNotFound):
			continue // the interface went away meanwhile
		case err != nil:
			return err
		}
		if !changed {
			undo.add(bpf.Grace) // runs after the links are back, before what they ran goes away
			changed = true
		}
		undo.add(func() error { return o.update(l, before) })
	}
	if changed {
		return bpf.Grace()
	}
	return nil
}

// program picks the one for a hook, and tells whether it is the one that runs there.
func program(p *bpf.Programs, l attach.Pinned) (*ebpf.Program, bool, error) {
	to, ok := map[attach.Hook]*ebpf.Program{
		attach.TransitXDP: p.TransitXDP,
		attach.TransitTCX: p.TransitTCX,
		attach.AgentXDP:   p.AgentXDP,
		attach.AgentTCX:   p.AgentTCX,
	}[l.Hook]
	if !ok {
		return nil, false, fmt.Errorf("%w: attachment %v", ErrABI, l.Hook)
	}
	info, err := to.Info()
	if err != nil {
		return nil, false, fmt.Errorf("read program of %s: %w", l.Hook, err)
	}
	id, _ := info.ID()
	return to, id == l.Program, nil
}

// links lists what is attached.
func (dp *Dataplane) links() (all []attach.Pinned, err error) {
	err = dp.ns.Do(func() error {
		all, err = attach.List(dp.pins.links())
		return err
	})
	return all, err
}

func (dp *Dataplane) update(l attach.Pinned, p *ebpf.Program) error {
	return dp.ns.Do(func() error { return attach.Update(dp.pins.links(), l.Ifindex, l.Hook, p) })
}
