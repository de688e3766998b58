// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// What was found wrong is told without looking again for fresh, or for many times as long as looking took: a table may
// have a million rows.
const (
	fresh = 5 * time.Second
	times = 20
)

// problems are what was found wrong last.
type problems struct {
	mu    sync.Mutex // taken before the writer's
	until time.Time  // it is told again, unless stale
	known bool       // there was a look
	last  []*pb.Problem
	some  atomic.Bool // last has any
	stale atomic.Bool // something changed that may have been a problem
}

// forget waits for nobody: it is called by who writes.
func (p *problems) forget() { p.stale.Store(true) }

// mended: what was written may have been a problem.
func (p *problems) mended() {
	if p.some.Load() {
		p.forget()
	}
}

// Health tells how the host is: what differs from what was asked for is a problem.
func (h *Host) Health(ctx context.Context) (*pb.GetHealthResponse, error) {
	wrong, err := h.findProblems(ctx)
	if err != nil {
		return nil, err
	}
	report := h.dp.Report()
	h.mu.RLock()
	defer h.mu.RUnlock()
	return &pb.GetHealthResponse{
		Healthy: len(wrong) == 0, Problems: wrong, Repairs: slices.Clone(h.repairs), Adopted: report.Adopted,
		Upgraded: report.Upgraded, Uptime: durationpb.New(time.Since(h.started)), Etag: etag(h.sum),
	}, nil
}

// findProblems compares all with what was asked for, once in a while.
func (h *Host) findProblems(ctx context.Context) ([]*pb.Problem, error) {
	h.problems.mu.Lock()
	defer h.problems.mu.Unlock()
	began := time.Now()
	if began.Before(h.problems.until) && !h.problems.stale.Load() {
		return h.problems.last, nil
	}
	if !h.writer.TryLock() { // no half of a change is a problem
		if h.problems.known {
			return h.problems.last, nil // and who asks does not wait for a long one
		}
		h.writer.Lock()
	}
	h.problems.stale.Store(false)
	p, err := h.compare(ctx, h.standing())
	h.writer.Unlock()
	if err != nil {
		h.problems.forget()
		return nil, err
	}
	h.problems.known = true
	h.problems.last = nil
	for _, line := range p.lines() {
		h.problems.last = append(h.problems.last, &pb.Problem{Kind: line.Kind, Key: line.Key, Message: problem(line)})
	}
	h.problems.some.Store(len(h.problems.last) > 0)
	h.problems.until = time.Now().Add(max(fresh, times*time.Since(began)))
	return h.problems.last, nil
}

func problem(line *pb.PlanStep) string {
	if line.Action == pb.Action_ACTION_ADD {
		return "it is missing"
	}
	return line.Detail
}

// Alive tells whether the daemon gets anything done: the data-plane answers, and whoever writes comes on, step by step
// or change by change, before ctx ends.
func (h *Host) Alive(ctx context.Context) error {
	if _, err := h.dp.Stats.Lost(ctx); err != nil {
		return err
	}
	for began := h.beat.Load(); ; {
		if h.writer.TryLock() {
			h.writer.Unlock()
			return nil
		}
		if h.beat.Load() != began {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}
