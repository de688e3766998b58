// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mizar-go/mizar/examples/internal/lab"
)

const (
	echoes = 20
	long   = 500 * time.Millisecond // of each stream
)

// leg is a pair of endpoints, and the way that the first packet should take from one to the other, and
// the later ones there and back.
type leg struct {
	name              string
	from, to          string
	first, out, again route
}

func legs() []leg {
	return []leg{
		{"one host", "red a1", "red a2", local("A"), local("A"), local("A")},
		{"across hosts", "red a1", "red b1", bounced("A", "B"), direct("A", "B"), direct("B", "A")},
		{"across networks", "red a1", "red b2", divided("A", "B"), direct("A", "B"), direct("B", "A")},
	}
}

// pair reads a1 → b1.
func (l leg) pair() string {
	return strings.TrimPrefix(l.from, "red ") + " → " + strings.TrimPrefix(l.to, "red ")
}

// row is what was seen of a leg.
type row struct {
	leg          leg
	first, later route
	ping         time.Duration
	udp, tcp     lab.Rate
}

func (f *fleet) measure(ctx context.Context, p *progress) ([]row, error) {
	var rows []row
	for _, l := range legs() {
		r, err := f.try(ctx, l, p)
		if err != nil {
			return nil, fmt.Errorf("%s, %s to %s: %w", l.name, l.from, l.to, err)
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// try sends over one leg, from the first packet that ever went there on.
func (f *fleet) try(ctx context.Context, l leg, p *progress) (r row, err error) {
	from, to := f.workloads[l.from], f.workloads[l.to]
	r.leg = l
	p.step("%s: ping", l.name)
	if r.first, err = f.pingOnce(ctx, from, to, l.first, l.again); err != nil {
		return r, fmt.Errorf("first packet: %w", err)
	}
	if r.later, err = f.pingOnce(ctx, from, to, l.out, l.again); err != nil {
		return r, fmt.Errorf("second packet: %w", err)
	}
	before, err := f.verdicts(ctx)
	if err != nil {
		return r, err
	}
	trips, err := from.Ping(ctx, to.place.addr.Addr(), echoes)
	if err != nil {
		return r, err
	}
	r.ping = lab.Median(trips)
	p.step("%s: UDP", l.name)
	if r.udp, err = from.UDP(ctx, to.server, echoes, long); err != nil {
		return r, err
	}
	p.step("%s: TCP", l.name)
	if r.tcp, err = from.TCP(ctx, to.server, long); err != nil {
		return r, err
	}
	after, err := f.verdicts(ctx)
	if err != nil {
		return r, err
	}
	return r, after.since(before).only(slices.Concat(l.out, l.again))
}

// pingOnce sends one echo request, reads the way of request and reply off the counters, and gives that of
// the request. Both have to be as wanted, and nothing else may have happened.
func (f *fleet) pingOnce(ctx context.Context, from, to *workload, out, again route) (route, error) {
	before, err := f.verdicts(ctx)
	if err != nil {
		return nil, err
	}
	_, pinged := from.Ping(ctx, to.place.addr.Addr(), 1)
	after, err := f.verdicts(ctx)
	if err != nil {
		return nil, err
	}
	seen := after.since(before)
	if pinged != nil {
		return nil, fmt.Errorf("%w (counted: %v)", pinged, seen)
	}
	counted := seen.String()
	request := seen.take(from.place.host, to.place.host)
	reply := seen.take(to.place.host, from.place.host)
	if !slices.Equal(request, out) || !slices.Equal(reply, again) || len(seen) != 0 {
		return nil, fmt.Errorf("it was to go %v, and back %v (counted: %s)", out, again, counted)
	}
	return request, nil
}

// only checks that all of these were counted, and nothing else.
func (v verdicts) only(want route) error {
	for _, w := range want {
		if v[w] == 0 {
			return fmt.Errorf("later packets: no %v (counted: %v)", w, v)
		}
	}
	for key := range v {
		if !slices.Contains(want, key) {
			return fmt.Errorf("later packets: unexpected %v (counted: %v)", key, v)
		}
	}
	return nil
}
