// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/dataplane"
	"github.com/mizar-go/mizar/endpoint"
	"github.com/mizar-go/mizar/examples/internal/lab"
	"github.com/mizar-go/mizar/maps"
)

// creations is how often each is done in a round.
const creations = 10

// stage is a host with a data-plane, and workloads without interfaces.
type stage struct {
	host      *lab.Namespace
	dp        *dataplane.Dataplane
	workloads []*lab.Namespace
	undo      undo
}

func newStage(ctx context.Context, workloads int) (_ *stage, err error) {
	s := new(stage)
	defer func() {
		if err != nil {
			err = errors.Join(err, s.undo.run())
		}
	}()
	if s.host, err = s.undo.namespace("host"); err != nil {
		return nil, err
	}
	for range workloads {
		w, err := s.undo.namespace("workload")
		if err != nil {
			return nil, err
		}
		s.workloads = append(s.workloads, w)
	}
	if s.dp, err = s.undo.plane(ctx, s.host, bpf.Limits{Endpoints: 1024}); err != nil {
		return nil, err
	}
	return s, s.dp.VPC.Add(ctx, maps.VPC{VNI: vni})
}

// create makes the endpoint of a workload.
func (s *stage) create(ctx context.Context, i int) (*endpoint.Endpoint, error) {
	return s.dp.Endpoint.Create(ctx, endpoint.Config{
		VNI:       vni,
		Addrs:     []netip.Prefix{netip.PrefixFrom(nth(netip.MustParseAddr("10.0.0.1"), i), 16)},
		NetNS:     endpoint.Path(s.workloads[i].Path()),
		Interface: workloadPort,
	})
}

// provisionOne creates and deletes one endpoint, and then one by hand, over and over.
func (b *bench) provisionOne(ctx context.Context) (err error) {
	s, err := newStage(ctx, 1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.undo.run()) }()
	hand, err := newHand(s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, hand.close()) }()
	for range b.rounds * creations {
		var e *endpoint.Endpoint
		if err := b.timed(library, libraryTitle, createTime, func() error {
			e, err = s.create(ctx, 0)
			return err
		}); err != nil {
			return err
		}
		if err := b.timed(library, libraryTitle, deleteTime, func() error {
			return s.dp.Endpoint.Delete(ctx, e.HostInterface)
		}); err != nil {
			return err
		}
		if err := b.timed(byHand, byHandTitle, createTime, hand.create); err != nil {
			return err
		}
		if err := b.timed(byHand, byHandTitle, deleteTime, hand.delete); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// timed adds how long f took, in milliseconds.
func (b *bench) timed(who, title, name string, f func() error) error {
	start := time.Now()
	if err := f(); err != nil {
		return err
	}
	b.results.add(figure{name, millis, 2}, who, title, 0, float64(time.Since(start))/float64(time.Millisecond))
	return nil
}

// provisionMany creates many endpoints at once, each in a namespace of its own.
func (b *bench) provisionMany(ctx context.Context) (err error) {
	s, err := newStage(ctx, b.parallel)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.undo.run()) }()
	for range b.rounds {
		made := make([]*endpoint.Endpoint, b.parallel)
		start := time.Now()
		if err := eachAtOnce(b.parallel, func(i int) (err error) {
			made[i], err = s.create(ctx, i)
			return err
		}); err != nil {
			return err
		}
		b.took(parallelTime, millis, 2, float64(time.Since(start))/float64(time.Millisecond)/float64(b.parallel))
		if err := eachAtOnce(b.parallel, func(i int) error {
			return s.dp.Endpoint.Delete(ctx, made[i].HostInterface)
		}); err != nil {
			return err
		}
	}
	return nil
}
