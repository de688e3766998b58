// SPDX-License-Identifier: Apache-2.0

package ethtool

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sys/unix"
)

// ErrRefused: the kernel or the device does not do what was asked: the feature is fixed, unknown, or
// held by another. The message names it.
var ErrRefused = errors.New("feature cannot be set")

// Feature is the state of one.
type Feature struct {
	On     bool // in effect
	Wanted bool // asked for, by whoever set it last; not in effect where another feature forbids it
	Fixed  bool // the device has it always, or never
}

// Features are all features that the kernel knows, by its names.
type Features map[string]Feature

// Get reads the features of a device.
func Get(name string) (Features, error) {
	d, err := open(name)
	if err != nil {
		return nil, err
	}
	defer d.close()
	f, _, err := d.get()
	return f, err
}

// get reads the features, and their names by number.
func (d *device) get() (Features, []string, error) {
	names, err := d.features()
	if err != nil {
		return nil, nil, fmt.Errorf("read names of features: %w", err)
	}
	blocks, err := d.read(len(names))
	if err != nil {
		return nil, nil, fmt.Errorf("read features: %w", err)
	}
	f := make(Features, len(names))
	for i, name := range names {
		if name == "" {
			continue // a number that the kernel does not use
		}
		b, bit := blocks[i/blockBits], uint32(1)<<(i%blockBits)
		f[name] = Feature{
			On:     b.active&bit != 0,
			Wanted: b.requested&bit != 0,
			Fixed:  b.neverChanged&bit != 0 || b.available&bit == 0,
		}
	}
	return f, names, nil
}

// Set turns features on and off, all in one step. Where one does not come out as asked it gives
// [ErrRefused] and puts back the others. A feature that this kernel does not know counts as off.
func Set(name string, want map[string]bool) error {
	d, err := open(name)
	if err != nil {
		return err
	}
	defer d.close()
	have, names, err := d.get()
	if err != nil {
		return err
	}
	before := have.differing(want)
	change := make(map[string]bool, len(before))
	for n := range before {
		change[n] = want[n]
	}
	if err := d.request(names, change); err != nil {
		return fmt.Errorf("set features: %w", err)
	}
	now, _, err := d.get()
	if err == nil {
		err = refused(name, want, now)
	}
	if err != nil {
		return errors.Join(err, d.request(names, before))
	}
	return nil
}

// differing are the features that have to be asked for so that all are as wanted, each with what was
// asked for before. Fixed and unknown ones cannot be asked for.
func (f Features) differing(want map[string]bool) map[string]bool {
	before := make(map[string]bool)
	for n, on := range want {
		if have, known := f[n]; known && !have.Fixed && have.Wanted != on {
			before[n] = have.Wanted
		}
	}
	return before
}

func refused(device string, want map[string]bool, now Features) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if now[name].On != want[name] {
			errs = append(errs, fmt.Errorf("set %s of %s to %t: %w", name, device, want[name], ErrRefused))
		}
	}
	return errors.Join(errs...)
}

// request asks the kernel for features. It takes what it can.
func (d *device) request(names []string, want map[string]bool) error {
	if len(want) == 0 {
		return nil
	}
	blocks := make([]setBlock, (len(names)+blockBits-1)/blockBits)
	for i, name := range names {
		on, asked := want[name]
		if !asked {
			continue
		}
		b, bit := &blocks[i/blockBits], uint32(1)<<(i%blockBits)
		b.valid |= bit
		if on {
			b.requested |= bit
		}
	}
	err := d.write(blocks)
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("it takes CAP_NET_ADMIN: %w", err)
	}
	return err
}
