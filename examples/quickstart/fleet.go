// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/dataplane"
	"github.com/mizar-go/mizar/droplet"
	"github.com/mizar-go/mizar/examples/internal/lab"
	"github.com/mizar-go/mizar/maps"
)

// host is a host of the underlay, and the data-plane that runs on it.
type host struct {
	*lab.Host
	dp *dataplane.Dataplane
}

// fleet is everything that one run makes.
type fleet struct {
	plan      plan
	underlay  *lab.Switch
	hosts     map[string]*host
	workloads map[string]*workload // by tenant and name: red a1
}

// build makes the switch, the hosts with their data-planes, and the endpoints. Also when it fails, the
// fleet is the caller's to close.
func build(ctx context.Context, mode droplet.Mode, p *progress) (f *fleet, err error) {
	f = &fleet{plan: newPlan(), hosts: make(map[string]*host), workloads: make(map[string]*workload)}
	p.step("plug four hosts into a switch")
	if f.underlay, err = lab.NewSwitch(mode == droplet.Native); err != nil {
		return f, err
	}
	for _, name := range f.plan.hosts {
		h, err := f.underlay.Host(name, netip.PrefixFrom(f.plan.at[name], f.plan.underlay.Bits()))
		if err != nil {
			return f, err
		}
		f.hosts[name] = &host{Host: h}
	}
	for _, name := range f.plan.hosts {
		p.step("data-plane on host %s", name)
		if err := f.hosts[name].open(ctx, f.plan, mode); err != nil {
			return f, fmt.Errorf("host %s: %w", name, err)
		}
	}
	for _, t := range f.plan.tenants {
		for _, e := range t.places {
			p.step("endpoint %s of %s", e.name, t.name)
			w, err := newWorkload(ctx, f.hosts[e.host].dp, t, e, mode)
			if err != nil {
				return f, fmt.Errorf("endpoint %s of %s: %w", e.name, t.name, err)
			}
			f.workloads[t.name+" "+e.name] = w
		}
	}
	return f, f.checkUnderlay(ctx)
}

// open starts a data-plane in the host's namespace, and tells it what the plan says.
func (h *host) open(ctx context.Context, p plan, mode droplet.Mode) (err error) {
	h.dp, err = dataplane.Open(ctx, dataplane.Config{
		Name:   instance(h.Name),
		NetNS:  h.Path(),
		Limits: bpf.Limits{Endpoints: 1024, Directs: 16384, Paths: 16384}, // four of them in little memory
	})
	if err != nil {
		return err
	}
	if err := h.dp.Peer.Add(ctx, maps.Peer{Prefix: p.underlay}); err != nil {
		return err
	}
	if _, err := h.dp.Droplet.Attach(ctx, droplet.Config{Interface: lab.Uplink, Mode: mode}); err != nil {
		return err
	}
	for _, t := range p.tenants {
		if err := h.dp.VPC.Add(ctx, p.vpc(t)); err != nil {
			return err
		}
		if err := h.dp.Network.AddAll(ctx, p.networks(t, h.Name)); err != nil {
			return err
		}
		if err := h.dp.Endpoint.AddAll(ctx, p.remote(t, h.Name)); err != nil {
			return err
		}
	}
	return nil
}

// instance names a host's data-plane so that nothing else on this machine does.
func instance(host string) string { return fmt.Sprintf("quickstart-%d-%s", os.Getpid(), host) }

// checkUnderlay has every host ping every other: what is not the data-plane's goes on as before.
func (f *fleet) checkUnderlay(ctx context.Context) error {
	for _, from := range f.plan.hosts {
		for _, to := range f.plan.hosts {
			if from == to {
				continue
			}
			if _, err := f.hosts[from].Ping(ctx, f.plan.at[to], 1); err != nil {
				return err
			}
		}
	}
	return nil
}

// close takes down what there is, even where it was told to stop: it has its own time.
func (f *fleet) close() (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for _, w := range f.workloads {
		err = errors.Join(err, w.close())
	}
	for _, h := range f.hosts {
		if h.dp != nil {
			err = errors.Join(err, h.dp.Destroy(ctx))
		}
		err = errors.Join(err, h.Close())
	}
	if f.underlay != nil {
		err = errors.Join(err, f.underlay.Close())
	}
	return err
}
