// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"fmt"
	"maps"
	"slices"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// step is one change of a plan, or many of endpoints of other hosts.
type step struct {
	phase int
	lines []*pb.PlanStep
	do    func(ctx context.Context) error
	undo  func(ctx context.Context) error
	// refused tells what would fail for sure; nil: nothing.
	refused func(ctx context.Context) error
	// what it puts or removes; its kind is nil: of several resources, or half of one.
	what subject
}

// does tells whether it is this that a step does.
func (s step) does(id pb.Kind, a pb.Action) bool {
	return len(s.lines) > 0 && s.lines[0].Kind == id && s.lines[0].Action == a
}

func (s step) key() string {
	if len(s.lines) == 0 { // it does nothing itself
		return ""
	}
	return s.lines[0].Key
}

// maxLines is how many steps an answer tells one by one.
const maxLines = 1000

// plan is what has to be done.
type plan struct {
	steps   []step
	summary map[pb.Kind]*pb.PlanSummary
	change  *change // of what is asked for
	found   map[pb.Kind]map[string]*have
}

// differs tells whether there is anything to do to the host.
func (p *plan) differs() bool {
	return slices.ContainsFunc(p.steps, func(s step) bool { return len(s.lines) > 0 })
}

func (p *plan) add(phase int, line *pb.PlanStep, do, undo func(ctx context.Context) error) *step {
	p.steps = append(p.steps, step{phase: phase, lines: []*pb.PlanStep{line}, do: do, undo: undo})
	p.count(line.Kind, line.Action, 1)
	return &p.steps[len(p.steps)-1]
}

func (p *plan) count(id pb.Kind, a pb.Action, n int) {
	s := p.summary[id]
	switch a {
	case pb.Action_ACTION_ADD:
		s.Add += uint64(n)
	case pb.Action_ACTION_UPDATE:
		s.Update += uint64(n)
	case pb.Action_ACTION_REPLACE:
		s.Replace += uint64(n)
	case pb.Action_ACTION_REMOVE:
		s.Remove += uint64(n)
	}
}

// removal is the phase in which what was added in one goes.
func removal(phase int) int { return 2*phases - phase }

// checkChains finds what the library would refuse half-way: chains with functions that will not be there.
func (p *plan) checkChains(g *goal) error {
	if !g.kinds[pb.Kind_KIND_FUNCTION] || !g.kinds[pb.Kind_KIND_STAGE] {
		return nil
	}
	for key, m := range g.want[pb.Kind_KIND_STAGE] {
		for i, f := range m.(*pb.Stage).Functions {
			_, wanted := g.want[pb.Kind_KIND_FUNCTION][f]
			there := p.found[pb.Kind_KIND_FUNCTION][f]
			if !wanted && (there == nil || g.removes(name{pb.Kind_KIND_FUNCTION, f})) {
				return &Error{
					Kind: pb.Kind_KIND_STAGE, Key: key, Field: fmt.Sprintf("functions[%d]", i),
					Err: wrong(fmt.Sprintf("functions[%d]", i), "no function %q is loaded or wanted", f),
				}
			}
		}
	}
	return nil
}

// refused is the first step that would fail for sure.
func (p *plan) refused(ctx context.Context) error {
	for _, s := range p.steps {
		if s.refused == nil {
			continue
		}
		if err := s.refused(ctx); err != nil && !p.comes(s, err) {
			return err
		}
	}
	return nil
}

// lines are the steps one by one, as far as they are told.
func (p *plan) lines() []*pb.PlanStep {
	var all []*pb.PlanStep
	for _, s := range p.steps {
		all = append(all, s.lines...)
		if len(all) > maxLines {
			return all[:maxLines]
		}
	}
	return all
}

func (p *plan) sums() []*pb.PlanSummary {
	var all []*pb.PlanSummary
	for _, id := range slices.Sorted(maps.Keys(p.summary)) {
		s := p.summary[id]
		if s.Add+s.Update+s.Replace+s.Remove+s.Unchanged+s.Foreign > 0 {
			all = append(all, s)
		}
	}
	return all
}
