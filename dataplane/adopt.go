// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/maps"
)

// adopt takes over what is pinned. Up to the settings, which come last, it changes nothing that it does
// not take back.
func (o *opening) adopt(ctx context.Context) (err error) {
	var undo undo
	defer func() {
		if err != nil {
			err = errors.Join(err, undo.run())
		}
	}()
	if err := o.pins.check(); err != nil {
		return missing(err)
	}
	if o.tables, err = bpf.LoadPinnedTables(o.pins.tables()); err != nil {
		return missing(err)
	}
	settings, err := o.recognise()
	if err != nil {
		return err
	}
	if err := o.step("adopt tables"); err != nil {
		return err
	}
	if o.rows, err = maps.Open(o.tables); err != nil {
		return err
	}
	if err := o.replace(settings.Build, &undo); err != nil {
		return err
	}
	if err := o.managers(o.pins.links()); err != nil {
		return err
	}
	want := o.config.change(settings)
	want.Build = bpf.Build()
	if want.FIBIfindex, err = o.Droplet.m.SetupFIB(ctx); err != nil {
		return err
	}
	if want.FIBIfindex != settings.FIBIfindex { // somebody had removed it
		undo.add(func() error { return o.Droplet.m.RemoveFIB(context.WithoutCancel(ctx)) })
	}
	if err := o.step("settings"); err != nil {
		return err
	}
	if o.report, err = o.found(ctx, settings.Build); err != nil {
		return err
	}
	if want != settings {
		if err := o.rows.Settings.Put(want); err != nil {
			return err
		}
	}
	// What did not work, or was left by a builder that died, goes last: its prog arrays may have served
	// until now.
	if err := errors.Join(o.programs.KeepEnds(o.tables), o.pins.sweep()); err != nil {
		o.log.Warn("leftovers stay", "name", o.name, "error", err)
	}
	return nil
}

// recognise reads the settings, before anything is written, and refuses what is not ours to adopt.
func (o *opening) recognise() (maps.Settings, error) {
	rows, err := maps.OpenReadOnly(o.tables)
	if err != nil {
		return maps.Settings{}, err
	}
	settings, err := rows.Settings.Get()
	if err := errors.Join(err, rows.Close()); err != nil {
		return maps.Settings{}, err
	}
	if settings.NetNS != o.cookie {
		return maps.Settings{}, fmt.Errorf("%s: %w: its cookie is %#x, not %#x; if that one is no more, remove the directory",
			o.pins.dir, ErrNetNS, settings.NetNS, o.cookie)
	}
	return settings, nil
}

// missing calls an incomplete instance what it is: nothing that this library makes.
func missing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrABI, err)
	}
	return err
}
