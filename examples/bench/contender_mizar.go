// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/dataplane"
	"github.com/mizar-go/mizar/droplet"
	"github.com/mizar-go/mizar/endpoint"
	"github.com/mizar-go/mizar/examples/internal/lab"
	"github.com/mizar-go/mizar/maps"
)

// buildHosts has a data-plane on each host, in one mode throughout. Each knows where the other's endpoint
// is: what is measured is the direct path.
func buildHosts(mode bpf.Mode) func(context.Context, *path, int) error {
	return func(ctx context.Context, p *path, mtu int) error {
		if err := p.addHosts(mtu, true); err != nil {
			return err
		}
		for i, w := range []*lab.Namespace{p.client, p.server} {
			dp, err := p.undo.plane(ctx, p.hosts[i], bpf.Limits{Endpoints: 1024})
			if err != nil {
				return err
			}
			if err := attach(ctx, dp, mode); err != nil {
				return err
			}
			if err := dp.VPC.Add(ctx, maps.VPC{VNI: vni}); err != nil {
				return err
			}
			if err := create(ctx, dp, w, workloadAddr(i), mode); err != nil {
				return err
			}
			there := maps.Endpoint{VNI: vni, Addr: workloadAddr(1 - i).Addr(), Host: hostAddr(1 - i).Addr()}
			if err := dp.Endpoint.Add(ctx, there); err != nil {
				return err
			}
		}
		return nil
	}
}

// buildOneHost has both endpoints on one host, which needs no droplet for that.
func buildOneHost(ctx context.Context, p *path, mtu int) error {
	h, err := p.undo.namespace("host")
	if err != nil {
		return err
	}
	dp, err := p.undo.plane(ctx, h, bpf.Limits{Endpoints: 1024})
	if err != nil {
		return err
	}
	if err := dp.VPC.Add(ctx, maps.VPC{VNI: vni}); err != nil {
		return err
	}
	for i, w := range []*lab.Namespace{p.client, p.server} {
		_, err := dp.Endpoint.Create(ctx, endpoint.Config{
			VNI: vni, Addrs: []netip.Prefix{workloadAddr(i)}, NetNS: endpoint.Path(w.Path()), Interface: workloadPort,
			MTU: mtu - endpoint.Overhead(false), Mode: bpf.TCX, // the MTU of an endpoint of a fleet
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func attach(ctx context.Context, dp *dataplane.Dataplane, mode bpf.Mode) error {
	if err := dp.Peer.Add(ctx, maps.Peer{Prefix: hostAddr(0).Masked()}); err != nil {
		return err
	}
	_, err := dp.Droplet.Attach(ctx, droplet.Config{Interface: uplink, Mode: mode})
	return err
}

func create(ctx context.Context, dp *dataplane.Dataplane, w *lab.Namespace, addr netip.Prefix, mode bpf.Mode) error {
	_, err := dp.Endpoint.Create(ctx, endpoint.Config{
		VNI: vni, Addrs: []netip.Prefix{addr}, NetNS: endpoint.Path(w.Path()), Interface: workloadPort, Mode: mode,
	})
	return err
}

// instance names a data-plane so that nothing else on this machine does.
func instance(n string) string { return fmt.Sprintf("bench-%d-%s", os.Getpid(), n) }

// plane opens a data-plane in a namespace.
func (u *undo) plane(ctx context.Context, ns *lab.Namespace, l bpf.Limits) (*dataplane.Dataplane, error) {
	l.Directs, l.Paths = 16384, 16384 // many of them in little memory
	dp, err := dataplane.Open(ctx, dataplane.Config{Name: instance(rand.Text()[:8]), NetNS: ns.Path(), Limits: l})
	if err != nil {
		return nil, err
	}
	u.push(func() error { return destroy(dp) })
	return dp, nil
}

// destroy has its own time: also after Ctrl-C everything has to go.
func destroy(dp *dataplane.Dataplane) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return dp.Destroy(ctx)
}
