// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/dataplane"
	"github.com/mizar-go/mizar/droplet"
	"github.com/mizar-go/mizar/endpoint"
	"github.com/mizar-go/mizar/examples/internal/lab"
)

// patience is for taking down, also what was interrupted.
const patience = time.Minute

// up builds what a file's text describes. On failure it takes down what it has built.
func up(ctx context.Context, out io.Writer, file, name, text string) (err error) {
	p, err := parse(file, name, text)
	if err != nil {
		return err
	}
	if err := p.vacant(); err != nil {
		return err
	}
	c, err := take(name, text)
	if err != nil {
		return err
	}
	if err := p.build(ctx, &builder{plan: p, ctx: ctx, out: out}); err != nil {
		// Interrupted or not, this has its own time.
		own, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		return errors.Join(fmt.Errorf("lab %s: %w", name, err), p.remove(own, io.Discard, c))
	}
	return c.keep()
}

// vacant tells whether all names are free: what has one of them would be taken down with the lab.
func (p *plan) vacant() error {
	if _, err := os.Lstat(statePath(p.name)); err == nil {
		return fmt.Errorf("lab %s: %w: take it down first: lab down %[1]s", p.name, errUp)
	}
	paths := []string{}
	for _, ns := range p.namespaces() {
		paths = append(paths, lab.NamePath(ns))
	}
	for _, h := range p.hosts {
		paths = append(paths, pins(p.namespace(h.name)))
	}
	for _, path := range paths {
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("lab %s: %s exists, and is not its own", p.name, path)
		}
	}
	return nil
}

// pins are where a data-plane's are.
func pins(name string) string { return filepath.Join(dataplane.DefaultBPFFS, "mizar", name) }

// builder has what has been built so far.
type builder struct {
	*plan
	ctx        context.Context
	out        io.Writer
	underlay   *lab.Namespace
	namespaces []*lab.Namespace // descriptors to let go of
}

// made tells of a thing, and ends it all where the user has had enough.
func (b *builder) made(format string, args ...any) error {
	if _, err := fmt.Fprintf(b.out, format+"\n", args...); err != nil {
		return err
	}
	return b.ctx.Err()
}

func (b *builder) namespace(of string) (*lab.Namespace, error) {
	n, err := lab.NewNamed(b.plan.namespace(of))
	if err == nil {
		b.namespaces = append(b.namespaces, n)
	}
	return n, err
}

func (p *plan) build(ctx context.Context, b *builder) (err error) {
	defer func() {
		for _, n := range b.namespaces {
			err = errors.Join(err, n.Close())
		}
	}()
	if err := b.makeUnderlay(); err != nil {
		return err
	}
	for _, h := range p.hosts {
		if err := b.makeHost(h); err != nil {
			return err
		}
	}
	for _, h := range p.hosts {
		if err := b.makeDataplane(ctx, h); err != nil {
			return fmt.Errorf("host %s: %w", h.name, err)
		}
	}
	return nil
}

// makeDataplane makes a host's, with all that it is told and its endpoints, and lets go of it.
func (b *builder) makeDataplane(ctx context.Context, h *host) (err error) {
	dp, err := dataplane.Open(ctx, dataplane.Config{
		Name:   b.plan.namespace(h.name),
		NetNS:  b.netns(h.name),
		Limits: bpf.Limits{Endpoints: 1024, Directs: 16384, Paths: 16384}, // a lab is small
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dp.Close()) }()
	if err := dp.Peer.AddAll(ctx, b.peers()); err != nil {
		return err
	}
	var own []netip.Addr
	for _, a := range h.addrs {
		own = append(own, a.Addr())
	}
	d, err := dp.Droplet.Attach(ctx, droplet.Config{Interface: lab.Uplink, Mode: h.mode, Addrs: own})
	if err != nil {
		return err
	}
	if err := b.made("data-plane %s: %s, as %s", b.plan.namespace(h.name), d.Mode, d.Why); err != nil {
		return err
	}
	for _, v := range b.vpcs {
		if v.concerns(h) {
			if err := b.tell(ctx, dp, h, v); err != nil {
				return err
			}
		}
	}
	return nil
}

// tell has a data-plane know of a VPC, and makes the endpoints that it has there.
func (b *builder) tell(ctx context.Context, dp *dataplane.Dataplane, h *host, v *vpc) error {
	networks, elsewhere := v.networksFor(h), v.endpointsFor(h)
	if err := dp.VPC.Add(ctx, v.row()); err != nil {
		return err
	}
	if err := dp.Network.AddAll(ctx, networks); err != nil {
		return err
	}
	if err := dp.Endpoint.AddAll(ctx, elsewhere); err != nil {
		return err
	}
	if err := b.made("VPC %s on %s: VNI %d, told of %d of its dividers, %d networks with bouncers, %d addresses elsewhere",
		v.name, h.name, v.vni, len(v.dividers), len(networks), len(elsewhere)); err != nil {
		return err
	}
	for _, e := range v.places {
		if e.host != h {
			continue
		}
		if _, err := b.namespace(e.name); err != nil {
			return err
		}
		got, err := dp.Endpoint.Create(ctx, endpoint.Config{
			VNI: v.vni, Addrs: e.addrs, NetNS: endpoint.Path(b.netns(e.name)), Interface: "eth0",
			HostInterface: e.name, MTU: e.mtu, Mode: e.mode,
		})
		if err != nil {
			return err
		}
		if err := b.made("endpoint %s: %s of %s on %s, %s, MTU %d", b.plan.namespace(e.name), list(e.addrs), v.name,
			h.name, got.Mode, got.MTU); err != nil {
			return err
		}
	}
	return nil
}
