// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/maps"
)

// build makes a new instance, aside, and publishes it by one rename. Until then nobody sees it, and
// after that nothing can fail.
func (o *opening) build(ctx context.Context) (err error) {
	var undo undo
	defer func() {
		if err != nil {
			err = errors.Join(err, undo.run())
		}
	}()
	// Those of builders that died.
	if err := o.pins.sweep(); err != nil {
		return err
	}
	dir, err := o.pins.begin(tablesDir, programsDir, linksDir, functionsDir)
	if err != nil {
		return err
	}
	undo.add(func() error { return os.RemoveAll(dir) })
	if err := o.load(dir); err != nil {
		return err
	}
	if err := o.managers(o.pins.links()); err != nil {
		return err
	}
	settings := o.config.settings()
	settings.NetNS, settings.Build = o.cookie, bpf.Build()
	settings.FIBIfindex, err = o.Droplet.m.SetupFIB(ctx)
	if err != nil {
		return err
	}
	undo.add(func() error { return o.Droplet.m.RemoveFIB(context.WithoutCancel(ctx)) })
	if err := o.step("settings"); err != nil {
		return err
	}
	if err := o.rows.Settings.Put(settings); err != nil {
		return err
	}
	if err := o.step("publish"); err != nil {
		return err
	}
	if err := os.Rename(dir, o.pins.layout()); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	o.report = Report{Limits: o.tables.Limits()}
	return nil
}

// load makes tables and programs, and pins them in dir.
func (o *opening) load(dir string) (err error) {
	if err := o.step("tables"); err != nil {
		return err
	}
	if o.tables, err = bpf.NewTables(o.config.Limits); err != nil {
		return err
	}
	if err := o.step("programs"); err != nil {
		return err
	}
	if o.programs, err = bpf.LoadPrograms(o.tables); err != nil {
		return err
	}
	if err := errors.Join(o.programs.WireTransit(), o.programs.WireStages(o.tables)); err != nil {
		return err
	}
	if err := o.step("pin tables"); err != nil {
		return err
	}
	if err := o.tables.Pin(filepath.Join(dir, tablesDir)); err != nil {
		return err
	}
	if err := o.step("pin programs"); err != nil {
		return err
	}
	if err := o.programs.Pin(filepath.Join(dir, programsDir)); err != nil {
		return err
	}
	o.rows, err = maps.Open(o.tables)
	return err
}
