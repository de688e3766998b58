// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/mizar-go/mizar/dataplane"
)

// showLimiter counts what comes to b1 of one endpoint with a limit, and of one without.
func showLimiter(ctx context.Context, w *world, out io.Writer) (err error) {
	l, err := NewLimiter(ctx, w.a.dp, "limiter")
	if err != nil {
		return err
	}
	all := dataplane.Scope{VNI: vni}
	defer func() { err = errors.Join(err, unload(ctx, w.a.dp, dataplane.StageSend, all, l.Function)) }()
	const rate, burst = 2_000_000, 256 << 10
	if err := errors.Join(
		l.Limit(w.a1.endpoint, rate, burst),
		w.a.dp.Stage.Set(ctx, dataplane.StageSend, all, "limiter"),
	); err != nil {
		return err
	}
	fmt.Fprintf(out, "limiter: a1 sends %.1f MB/s after a burst of %d KiB, a2 what it likes\n", rate/1e6, burst>>10)
	m, err := measure(ctx, w, w.a1, 4*rate, burst+rate/2)
	if err != nil {
		return err
	}
	if err := m.check(rate, burst); err != nil {
		return err
	}
	fmt.Fprintf(out, "  %-30s %.2f MB/s sent, %.2f MB/s arrived behind the burst\n", "a1 → b1:9",
		float64(m.sent)/m.took.Seconds()/1e6, float64(m.arrived-burst)/m.took.Seconds()/1e6)
	if m, err = measure(ctx, w, w.a2, 4*rate, rate); err != nil {
		return err
	}
	if m.arrived != m.sent {
		return fmt.Errorf("a2, which has no limit: %d bytes sent, %d arrived", m.sent, m.arrived)
	}
	fmt.Fprintf(out, "  %-30s %.2f MB/s sent, all arrived\n", "a2 → b1:9", float64(m.sent)/m.took.Seconds()/1e6)
	return nil
}

// measured is a stream through a limiter: bytes of frames.
type measured struct {
	sent, arrived uint64
	at            []time.Duration // when each was sent
	took          time.Duration
}

// frame is what the limiter takes a datagram for.
const (
	datagram = 1200
	frame    = 14 + 20 + 8 + datagram
)

// measure sends so many bytes a second to b1 until enough have arrived, and follows each datagram to where it arrived
// or was dropped.
func measure(ctx context.Context, w *world, from *workload, rate, enough uint64) (m measured, err error) {
	in, err := listen(w.b1.Namespace, 9)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	o, err := dial(from.Namespace, w.b1.v4, 9, datagram)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, o.close()) }()
	before, err := w.dropped(ctx, "limiter.rate")
	if err != nil {
		return m, err
	}
	s := o.start(ctx, float64(rate)/frame)
	defer func() { err = errors.Join(err, s.end()) }()
	if err := await(ctx, "bytes to arrive", func() (bool, error) {
		err := in.count()
		return in.packets*frame >= enough, err
	}); err != nil {
		return m, err
	}
	if err := s.end(); err != nil {
		return m, err
	}
	var lost uint64
	if err := await(ctx, "the last datagrams", func() (bool, error) {
		after, err := w.dropped(ctx, "limiter.rate")
		lost = after - before
		return in.packets+lost == s.sent, errors.Join(err, in.count())
	}); err != nil {
		return m, fmt.Errorf("%w: %d sent, %d arrived, %d dropped", err, s.sent, in.packets, lost)
	}
	return measured{s.sent * frame, in.packets * frame, s.at, s.took}, nil
}

// check compares with a bucket: never more than what it has, and not much less than what it would let through of
// datagrams that were sent when these were, whoever kept the sender waiting.
func (m measured) check(rate, burst uint64) error {
	most := float64(burst) + float64(rate)*m.took.Seconds()
	var least, last float64
	tokens := float64(burst)
	for _, t := range m.at {
		tokens = min(float64(burst), tokens+float64(rate)*(t.Seconds()-last))
		last = t.Seconds()
		if tokens >= frame {
			tokens -= frame
			least += 0.95 * frame
		}
	}
	if got := float64(m.arrived); got > most || got < least {
		return fmt.Errorf("%d bytes arrived of %d sent in %v: it should be %.0f to %.0f", m.arrived, m.sent, m.took, least, most)
	}
	return nil
}
