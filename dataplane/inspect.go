// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/maps"
)

// View shows an instance to tools, as it is now and while another process changes it. It takes no lock and
// writes nothing. It holds the tables until it is closed: where the instance is destroyed meanwhile, it goes
// on to show what was in them. All of it is safe for concurrent use.
type View struct {
	Stats Counts // what the programs have counted

	rows   *maps.Tables
	gate   gate
	name   string
	pins   pins
	tables *bpf.Tables
}

// Inspect looks at the instance of a name whose pins are at [DefaultBPFFS]. Where there is none it gives
// [ErrNotFound]; for one of another layout [ErrABI], for pins that others could change [ErrNotOwned], and
// without the right to look [ErrPermission].
func Inspect(name string) (*View, error) {
	return InspectAt(DefaultBPFFS, name)
}

// InspectAt is [Inspect] where bpffs is mounted elsewhere. Like [Config] it takes empty strings for the
// defaults.
func InspectAt(bpffs, name string) (_ *View, err error) {
	c := Config{Name: name, BPFFS: bpffs}.withDefaults()
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("inspect data-plane: %w", err)
	}
	v := &View{name: c.Name, pins: newPins(c.BPFFS, c.Name)}
	if err := v.open(v.pins); err != nil {
		return nil, fmt.Errorf("inspect data-plane %s: %w", c.Name, explain(errors.Join(err, v.letGo())))
	}
	return v, nil
}

func (v *View) open(p pins) error {
	// Whoever destroys the instance takes it away whole, maybe between two of our steps, and maybe makes it
	// anew.
	for range 100 {
		at, err := os.Stat(p.layout())
		if err == nil {
			err = v.load(p)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		switch now, statErr := os.Stat(p.layout()); {
		case statErr == nil && at != nil && os.SameFile(at, now):
			return missing(err)
		case errors.Is(statErr, fs.ErrNotExist):
			// So there is none, one of another layout, or a new one by now.
			there, err := p.exist()
			switch {
			case err != nil:
				return err
			case !there:
				return fmt.Errorf("%s: %w", p.layout(), ErrNotFound)
			}
		case statErr != nil:
			return statErr
		}
	}
	return fmt.Errorf("%s: %w: it comes and goes", p.layout(), ErrNotFound)
}

func (v *View) load(p pins) (err error) {
	if err := p.check(); err != nil {
		return err
	}
	if v.tables, err = bpf.LoadPinnedTables(p.tables()); err != nil {
		return err
	}
	v.rows, err = maps.OpenReadOnly(v.tables)
	v.Stats = Counts{gate: &v.gate, rows: v.rows}
	return err
}

// Close ends the view. It may be called again.
func (v *View) Close() error {
	if !v.gate.close() {
		return nil
	}
	if err := v.letGo(); err != nil {
		return fmt.Errorf("close view of data-plane %s: %w", v.name, err)
	}
	return nil
}

func (v *View) letGo() error {
	var errs []error
	if v.rows != nil {
		errs = append(errs, v.rows.Close())
	}
	if v.tables != nil {
		errs = append(errs, v.tables.Close())
	}
	return errors.Join(errs...)
}

// Name is the instance's.
func (v *View) Name() string { return v.name }

// Limits are the sizes of the tables.
func (v *View) Limits(ctx context.Context) (l bpf.Limits, err error) {
	err = v.gate.through(ctx, func() error {
		l = v.tables.Limits()
		return nil
	})
	return l, err
}

// Settings are what every packet depends on.
func (v *View) Settings(ctx context.Context) (s maps.Settings, err error) {
	err = v.gate.through(ctx, func() error {
		s, err = v.rows.Settings.Get()
		return err
	})
	return s, err
}

// Peers iterates over who may send tunnel packets.
func (v *View) Peers(ctx context.Context) iter.Seq2[maps.Peer, error] {
	return each(ctx, &v.gate, v.rows.Peers.All)
}

// VPCs iterates over the tenants' address spaces.
func (v *View) VPCs(ctx context.Context) iter.Seq2[maps.VPC, error] {
	return each(ctx, &v.gate, v.rows.VPCs.All)
}

// Networks iterates over the prefixes of all VPCs.
func (v *View) Networks(ctx context.Context) iter.Seq2[maps.Network, error] {
	return each(ctx, &v.gate, v.rows.Networks.All)
}

// Endpoints iterates over the addresses of all VPCs, here and elsewhere.
func (v *View) Endpoints(ctx context.Context) iter.Seq2[maps.Endpoint, error] {
	return each(ctx, &v.gate, v.rows.Endpoints.All)
}

// Droplets iterates over the interfaces on the substrate.
func (v *View) Droplets(ctx context.Context) iter.Seq2[maps.Droplet, error] {
	return each(ctx, &v.gate, v.rows.Droplets.All)
}

// Agents iterates over the endpoints' interfaces of this host.
func (v *View) Agents(ctx context.Context) iter.Seq2[maps.Agent, error] {
	return each(ctx, &v.gate, v.rows.Agents.All)
}

// Interfaces iterates over what will be put back: names, modes and settings of droplets and endpoints.
func (v *View) Interfaces(ctx context.Context) iter.Seq2[maps.Saved, error] {
	return each(ctx, &v.gate, v.rows.Restore.All)
}

// Directs iterates over the hosts that were learned.
func (v *View) Directs(ctx context.Context) iter.Seq2[maps.Direct, error] {
	return each(ctx, &v.gate, v.rows.Directs.All)
}

// Direct is the host that was learned of an endpoint. None that is still believed: [ErrNotFound].
func (v *View) Direct(ctx context.Context, key maps.EndpointKey) (d maps.Direct, err error) {
	err = v.gate.through(ctx, func() error {
		d, err = v.rows.Directs.Get(key)
		return err
	})
	return d, err
}

// Stages iterates over the chains of functions that are not empty.
func (v *View) Stages(ctx context.Context) iter.Seq2[Chain, error] {
	return each(ctx, &v.gate, func() iter.Seq2[Chain, error] { return chains(v.pins, v.rows) })
}

// Paths iterates over the hosts whose path is known.
func (v *View) Paths(ctx context.Context) iter.Seq2[maps.Path, error] {
	return each(ctx, &v.gate, v.rows.Paths.All)
}
