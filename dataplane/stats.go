// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"errors"
	"iter"
	"net"

	"github.com/mizar-go/mizar/maps"
)

// Stats are the counts of an instance, and its sampled drops.
type Stats struct {
	Counts
	dp *Dataplane
}

// Counts are what the programs have counted, since the instance was made. Reading them changes nothing.
type Counts struct {
	gate *gate
	rows *maps.Tables
}

// Traffic is what an interface has carried since it was attached or made: see [maps.Traffic].
type Traffic struct {
	Ifindex   int              // of the droplet, or of an endpoint's interface on the host's side
	Interface string           // its name when it was attached; empty where that is not known
	VNI       uint32           // of an endpoint; 0 for a droplet
	MAC       net.HardwareAddr // the droplet's or the workload's
	Cookie    uint64           // the caller's
	maps.Traffic
}

// Counters iterates over the verdicts and the reasons for drops, but those that never came up.
func (c Counts) Counters(ctx context.Context) iter.Seq2[maps.Counter, error] {
	return each(ctx, c.gate, c.rows.Counters.All)
}

// Droplets iterates over what each droplet has taken and sent.
func (c Counts) Droplets(ctx context.Context) iter.Seq2[Traffic, error] {
	return each(ctx, c.gate, func() iter.Seq2[Traffic, error] {
		return convert(c.rows.Droplets.All(), func(d maps.Droplet) (Traffic, error) {
			return c.traffic(d.Traffic, Traffic{Ifindex: d.Ifindex, MAC: d.MAC, Cookie: d.Cookie})
		})
	})
}

// Endpoints iterates over what was delivered to and accepted from each endpoint of this host.
func (c Counts) Endpoints(ctx context.Context) iter.Seq2[Traffic, error] {
	return each(ctx, c.gate, func() iter.Seq2[Traffic, error] {
		return convert(c.rows.Agents.All(), func(a maps.Agent) (Traffic, error) {
			return c.traffic(a.Traffic, Traffic{Ifindex: a.Ifindex, VNI: a.VNI, MAC: a.MAC, Cookie: a.Cookie})
		})
	})
}

// traffic completes t with what the slot has counted.
func (c Counts) traffic(slot uint32, t Traffic) (_ Traffic, err error) {
	if t.Traffic, err = c.rows.Traffic.Get(slot); err != nil {
		return t, err
	}
	saved, err := c.rows.Restore.Get(t.Ifindex)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return t, err
	}
	t.Interface = saved.Name
	return t, nil
}

// convert maps f over what a table yields.
func convert[From, To any](rows iter.Seq2[From, error], f func(From) (To, error)) iter.Seq2[To, error] {
	return func(yield func(To, error) bool) {
		for row, err := range rows {
			var to To
			if err == nil {
				to, err = f(row)
			}
			if !yield(to, err) {
				return
			}
		}
	}
}

// Events iterates over drops as they are sampled, at [Config.EventsPerSecond], until ctx ends or the
// data-plane is closed: the error says which. Each event is read once. While one loop runs, another gets
// [ErrExists].
func (s *Stats) Events(ctx context.Context) iter.Seq2[maps.Event, error] {
	return func(yield func(maps.Event, error) bool) {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		defer context.AfterFunc(s.dp.ctx, func() { cancel(ErrClosed) })()
		for event, err := range each(ctx, s.gate, func() iter.Seq2[maps.Event, error] { return s.rows.Events.Read(ctx) }) {
			if cause := context.Cause(ctx); err != nil && cause != nil {
				err = cause
			}
			if !yield(event, err) || err != nil {
				return
			}
		}
		// Interrupted while it waited for one, Read ends without a word.
		if cause := context.Cause(ctx); cause != nil {
			yield(maps.Event{}, cause)
		}
	}
}

// Lost is how many drops were not reported to Events since the instance was made: too many came, or nobody
// read them.
func (s *Stats) Lost(ctx context.Context) (lost uint64, err error) {
	err = s.gate.through(ctx, func() error {
		lost, err = s.rows.Events.Lost()
		return err
	})
	return lost, err
}
