// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"time"
)

const (
	standardMTU = 1500
	jumboMTU    = 9000

	places = 32 // for as many threads, and some
)

// say tells what is going on.
type say func(format string, args ...any)

// bench is everything that stands while it is measured.
type bench struct {
	options
	cpus    cpus
	paths   []*path
	traffic []*traffic
	undo    undo
	results results
	say     say
}

// measureAll builds, measures and takes down.
func measureAll(ctx context.Context, o options, say say) (_ *results, err error) {
	// A thread that waits in a call keeps its place in the Go scheduler if there are enough; else it would
	// queue for one, and that would be measured.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(max(places, runtime.NumCPU())))
	b := &bench{options: o, say: say}
	defer func() { err = errors.Join(err, b.undo.run()) }()
	if b.cpus, err = twoCPUs(); err != nil {
		return nil, err
	}
	b.results.about = aboutThis(o, b.cpus)
	if b.results.about.Busy, err = busy(ctx, time.Second); err != nil {
		return nil, err
	}
	if b.results.about.Busy > tooBusy {
		say("others keep the CPUs %.0f %% busy: do not trust what comes out", b.results.about.Busy*100)
	}
	if err := b.build(ctx); err != nil {
		return nil, err
	}
	for round := range o.rounds {
		say("round %d of %d", round+1, o.rounds)
		if err := b.round(ctx, round); err != nil {
			return nil, err
		}
	}
	if o.wants(provisioning) {
		if err := b.provision(ctx); err != nil {
			return nil, err
		}
	}
	return &b.results, ctx.Err()
}

// build puts up all contenders, at the same time: most of it is waiting. Those that are not measured just
// then do nothing.
func (b *bench) build(ctx context.Context) error {
	b.say("build contenders")
	var steps []func(*undo) error
	for _, mtu := range []int{standardMTU, jumboMTU} {
		for _, c := range contenders() {
			if slices.Contains(b.contenders, c.name) && len(b.due(mtu)) > 0 {
				i := len(b.paths)
				b.paths = append(b.paths, nil)
				steps = append(steps, func(u *undo) (err error) {
					b.paths[i], err = newPath(ctx, u, c, mtu)
					return err
				})
			}
		}
	}
	if b.wants(forwarding) {
		b.traffic = make([]*traffic, len(forwarders()))
		for i, f := range forwarders() {
			steps = append(steps, func(u *undo) (err error) {
				b.traffic[i], err = newTraffic(ctx, u, f)
				return err
			})
		}
	}
	undos := make([]undo, len(steps))
	b.undo.push(func() error {
		return eachAtOnce(len(undos), func(i int) error { return undos[i].run() })
	})
	return eachAtOnce(len(steps), func(i int) error { return steps[i](&undos[i]) })
}

// due is what there is to measure over an underlay of that MTU.
func (b *bench) due(mtu int) (all []measure) {
	for _, m := range measures() {
		if b.wants(m.name) && (mtu == standardMTU || m.jumbo) {
			all = append(all, m)
		}
	}
	return all
}

// round measures everything once. Contenders take turns with each measurement, so that those that are
// compared follow on each other; in every round another one begins, so that nobody always follows on the
// same.
func (b *bench) round(ctx context.Context, number int) error {
	for _, mtu := range []int{standardMTU, jumboMTU} {
		for _, m := range b.due(mtu) {
			for _, p := range rotated(b.paths, number) {
				if p.mtu != mtu {
					continue
				}
				got, err := m.of(ctx, p, b.cpus, b.long)
				if err != nil {
					return err
				}
				for i, f := range m.figures {
					b.results.add(f, p.of.name, p.of.title, mtu, got[i])
				}
			}
		}
	}
	for _, t := range rotated(b.traffic, number) {
		each, err := t.run(ctx, b.cpus, b.long)
		if err != nil {
			return err
		}
		b.results.add(figure{forwardRate, millions, 2}, t.hub.of.name, t.hub.of.title, 0, each/1e6)
	}
	return nil
}

// rotated are the same in the same order, of which another is the first.
func rotated[T any](all []T, number int) []T {
	if len(all) == 0 {
		return nil
	}
	first := number % len(all)
	return slices.Concat(all[first:], all[:first])
}
