// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"

	"github.com/mizar-go/mizar/droplet"
	"github.com/mizar-go/mizar/endpoint"
	"github.com/mizar-go/mizar/internal/bpffs"
	"github.com/mizar-go/mizar/maps"
)

// Open opens an instance: makes it if it is not there, and adopts it as it is otherwise, which traffic does
// not notice. [Dataplane.Report] tells which, and what was found.
//
// Where the instance runs programs of another version of the library, Open replaces them by its own, each
// without a moment between the old one and the new; where that fails, the old ones stay.
//
// While it is open elsewhere Open fails with [ErrLocked]. Pins that other users made or could change are
// [ErrNotOwned], those of another type, size or layout [ErrABI], an instance of another network namespace
// [ErrNetNS]; a capability that is missing [ErrPermission], a config that makes no sense [ErrInvalid]. When
// it fails, all is as before, but for a bpffs that it mounted: that stays, as it does after Destroy.
func Open(ctx context.Context, c Config) (*Dataplane, error) {
	return open(ctx, c, nil)
}

// opening is an Open under way.
type opening struct {
	*Dataplane
	config Config
	cookie uint64                  // of the network namespace
	keep   []io.Closer             // what an undo may need: closed at the end
	failAt func(step string) error // for tests: what shall fail; nil: nothing
}

func (o *opening) step(name string) error {
	if o.failAt == nil {
		return nil
	}
	return o.failAt(name)
}

func open(ctx context.Context, c Config, failAt func(step string) error) (*Dataplane, error) {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("open data-plane: %w", err)
	}
	o := &opening{
		Dataplane: &Dataplane{name: c.Name, log: c.Logger, pins: newPins(c.BPFFS, c.Name)},
		config:    c,
		failAt:    failAt,
	}
	err := o.run(ctx)
	for _, c := range o.keep {
		err = errors.Join(err, c.Close())
	}
	if err != nil {
		return nil, fmt.Errorf("open data-plane %s: %w", c.Name, explain(errors.Join(err, o.letGo())))
	}
	return o.Dataplane, nil
}

func (o *opening) run(ctx context.Context) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	if o.ns, err = o.config.namespace(); err != nil {
		return err
	}
	if o.cookie, err = o.ns.Cookie(); err != nil {
		return err
	}
	if err := bpffs.Ensure(o.config.BPFFS); err != nil {
		return err
	}
	if o.lock, err = takeLock(o.pins.dir); err != nil {
		return err
	}
	there, err := o.pins.exist()
	if err != nil {
		return err
	}
	if there {
		err = o.adopt(ctx)
	} else {
		err = o.build(ctx)
	}
	if err != nil {
		return errors.Join(err, o.pins.prune())
	}
	o.ctx, o.cancel = context.WithCancelCause(context.Background())
	o.say()
	return nil
}

// managers has the layers above the tables begin. They attach the programs that are loaded by then.
func (o *opening) managers(links string) (err error) {
	o.hosts.dp, o.hosts.seen = o.Dataplane, make(map[netip.Addr]struct{})
	o.Peer = &Peers{dp: o.Dataplane, table: o.rows.Peers}
	o.VPC = &VPCs{dp: o.Dataplane, table: o.rows.VPCs, hosts: func(v maps.VPC) []netip.Addr { return v.Dividers }}
	o.Network = &Networks{dp: o.Dataplane, table: o.rows.Networks, hosts: func(n maps.Network) []netip.Addr { return n.Bouncers }}
	o.Function = &Functions{dp: o.Dataplane}
	o.Stage = &Stages{dp: o.Dataplane}
	o.Stats = &Stats{dp: o.Dataplane, Counts: Counts{gate: &o.gate, rows: o.rows}}
	d, err := droplet.NewManager(o.rows, o.programs, droplet.Options{Name: o.name, Links: links, NetNS: o.ns, Logger: o.log})
	if err != nil {
		return err
	}
	e, err := endpoint.NewManager(o.rows, o.programs, endpoint.Options{Links: links, NetNS: o.ns, Logger: o.log})
	if err != nil {
		return err
	}
	o.Droplet = &Droplets{dp: o.Dataplane, m: d}
	o.Endpoint = &Endpoints{dp: o.Dataplane, m: e}
	return nil
}

// say tells the log what is worth it.
func (o *opening) say() {
	r := &o.report
	switch {
	case r.Upgraded:
		o.log.Info("adopted data-plane, and replaced its programs", "name", o.name)
	case r.Adopted:
		o.log.Info("adopted data-plane", "name", o.name)
	}
	if r.Differs != nil {
		o.log.Warn("tables keep the sizes they were made with", "name", o.name, "differ", r.Differs)
	}
}
