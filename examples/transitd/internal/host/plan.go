// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/mizar-go/mizar/dataplane"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	tables "github.com/mizar-go/mizar/maps"
)

// goal is what shall be, of some kinds or all.
type goal struct {
	kinds  map[pb.Kind]bool
	want   map[pb.Kind]map[string]proto.Message
	places map[tables.EndpointKey]place
	// asked is by what what is there was asked for; nil: not known.
	asked func(n name) proto.Message
	// removes tells whether what is there, and not wanted, goes. What does not is foreign.
	removes      func(n name) bool
	removesPlace func(key tables.EndpointKey) bool
}

// step is one change of a plan, or many of endpoints of other hosts.
type step struct {
	phase int
	lines []*pb.PlanStep
	do    func(ctx context.Context) error
	undo  func(ctx context.Context) error
	// refused tells what would fail for sure; nil: nothing.
	refused func(ctx context.Context) error
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

// compare makes a plan of what is there and what shall be.
func (h *Host) compare(ctx context.Context, g *goal) (*plan, error) {
	p := &plan{summary: make(map[pb.Kind]*pb.PlanSummary), change: newChange()}
	found := make(map[pb.Kind]map[string]*have)
	for id, k := range h.kinds {
		if !g.kinds[id] {
			continue
		}
		p.summary[id] = &pb.PlanSummary{Kind: id}
		var err error
		if found[id], err = k.all(ctx); err != nil {
			return nil, err
		}
		for key, there := range found[id] {
			if asked := g.asked(name{id, key}); asked != nil {
				k.overlay(ctx, there, asked)
			}
		}
	}
	for id, all := range found {
		h.compareKind(ctx, p, g, h.kinds[id], all)
	}
	if g.kinds[pb.Kind_KIND_ENDPOINT] {
		if err := h.comparePlaces(ctx, p, g); err != nil {
			return nil, err
		}
	}
	h.makeWay(p, g, found)
	p.found = found
	slices.SortStableFunc(p.steps, func(a, b step) int {
		if a.phase != b.phase {
			return a.phase - b.phase
		}
		return natural(a.key(), b.key())
	})
	return p, nil
}

func (h *Host) compareKind(ctx context.Context, p *plan, g *goal, k kind, found map[string]*have) {
	for key, want := range g.want[k.id()] {
		n := name{k.id(), key}
		there := found[key]
		if asked := h.askedFor(n.kind, key); asked == nil || !proto.Equal(bare(asked), bare(want)) {
			p.change.put[n] = want
		} else {
			want = asked // with what was made up, which stays
		}
		switch {
		case there == nil:
			s := p.add(k.when(want), &pb.PlanStep{Action: pb.Action_ACTION_ADD, Kind: n.kind, Key: key}, h.write(p, k, n, want, nil), h.unwrite(p, k, n))
			s.refused = func(ctx context.Context) error { return k.refuses(ctx, want, nil) }
		case there.broken == "" && k.same(ctx, want, there, g.asked(n)):
			p.summary[n.kind].Unchanged++
			if _, ok := p.change.put[n]; ok {
				p.change.put[n] = withAsked(ctx, k, want, there)
			}
		default:
			line := &pb.PlanStep{Action: pb.Action_ACTION_UPDATE, Kind: n.kind, Key: key, Detail: difference(want, there)}
			if k.loses(want, there) {
				line.Action = pb.Action_ACTION_REPLACE
			}
			s := p.add(k.when(want), line, h.write(p, k, n, want, there), h.rewrite(p, k, n, there))
			s.refused = func(ctx context.Context) error { return k.refuses(ctx, want, there) }
			if _, changes := p.change.put[n]; there.broken != "" && !changes {
				s.undo = func(context.Context) error { return nil } // it was mended: nobody wants it broken again
			}
		}
	}
	for key, there := range found {
		n := name{k.id(), key}
		if _, wanted := g.want[n.kind][key]; wanted {
			continue
		}
		if !g.removes(n) {
			p.summary[n.kind].Foreign++
			continue
		}
		p.change.gone[n] = there.msg
		r := &removing{k: k, there: there}
		p.add(removal(k.when(there.msg)), &pb.PlanStep{Action: pb.Action_ACTION_REMOVE, Kind: n.kind, Key: key}, r.do, r.undo)
	}
	// What was asked for, went behind our back, and is not wanted any more.
	h.mu.RLock()
	defer h.mu.RUnlock()
	for key, asked := range h.asked[k.id()] {
		n := name{k.id(), key}
		if g.want[n.kind][key] == nil && found[key] == nil && g.removes(n) {
			p.change.gone[n] = asked
		}
	}
}

// removing is a step, or half of one, that removes a resource, and what goes with it.
type removing struct {
	k       kind
	there   *have
	missing bool // a step before took it along, and puts it back
	restore func(ctx context.Context, now proto.Message) error
}

func (r *removing) do(ctx context.Context) (err error) {
	if r.restore, err = r.k.keeps(ctx, r.there); err != nil {
		return err
	}
	err = r.k.unwrite(ctx, r.there)
	r.missing = errors.Is(err, dataplane.ErrNotFound)
	return missingIsGone(err)
}

func (r *removing) undo(ctx context.Context) error {
	if r.missing || r.there.broken != "" {
		return nil
	}
	now, err := r.k.write(ctx, r.there.msg, nil)
	if err != nil {
		return err
	}
	return r.restore(ctx, now)
}

// missingIsGone: what a step before took along, as a deleted endpoint its chains.
func missingIsGone(err error) error {
	if errors.Is(err, dataplane.ErrNotFound) {
		return nil
	}
	return err
}

// withAsked is what is wanted, with the status of what is there.
func withAsked(ctx context.Context, k kind, want proto.Message, there *have) proto.Message {
	h := &have{seen: there.seen, msg: there.msg}
	k.overlay(ctx, h, want)
	if h.msg == there.msg {
		return want
	}
	return h.msg
}

// write gives the status to what is asked for.
func (h *Host) write(p *plan, k kind, n name, want proto.Message, there *have) func(context.Context) error {
	return func(ctx context.Context) error {
		got, err := k.write(ctx, want, there)
		if err != nil {
			return err
		}
		p.change.put[n] = got
		return nil
	}
}

// unwrite takes away what write added.
func (h *Host) unwrite(p *plan, k kind, n name) func(context.Context) error {
	return func(ctx context.Context) error {
		return k.unwrite(ctx, &have{key: n.key, msg: p.change.put[n]})
	}
}

// rewrite puts back what write replaced.
func (h *Host) rewrite(p *plan, k kind, n name, was *have) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := k.write(ctx, was.msg, &have{key: n.key, msg: p.change.put[n]})
		return err
	}
}

// difference says to people why.
func difference(want proto.Message, there *have) string {
	if there.broken != "" {
		return there.broken
	}
	was, is := bare(there.msg).ProtoReflect(), bare(want).ProtoReflect()
	text := ""
	fields := is.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		a, b := was.Get(f), is.Get(f)
		if was.Has(f) == is.Has(f) && a.Equal(b) {
			continue
		}
		if text != "" {
			text += ", "
		}
		if f.Name() == "object" {
			text += "another object"
			continue
		}
		text += fmt.Sprintf("%s: %v, was %v", f.Name(), b, a)
	}
	return text
}

// comparePlaces makes one step of all endpoints of other hosts that come or change, and one of those that go.
func (h *Host) comparePlaces(ctx context.Context, p *plan, g *goal) error {
	id := pb.Kind_KIND_ENDPOINT
	s := &pb.PlanSummary{Kind: id}
	p.summary[id] = s
	var put, gone, covered []wish
	var putLines, goneLines []*pb.PlanStep
	line := func(lines *[]*pb.PlanStep, a pb.Action, key tables.EndpointKey, detail string) {
		p.count(id, a, 1)
		if len(*lines) < maxLines {
			*lines = append(*lines, &pb.PlanStep{Action: a, Kind: id, Key: key.String(), Detail: detail})
		}
	}
	here := localKeys(g)
	seen := make(map[tables.EndpointKey]struct{}, len(g.places))
	for row, err := range h.dp.Endpoint.List(ctx) {
		if err != nil {
			return fmt.Errorf("list: %w", &Error{Kind: id, Err: err})
		}
		if !row.Host.IsValid() {
			continue // of this host: where it becomes another's, adding waits for its deletion
		}
		key := row.Key()
		was := placeOf(row)
		want, wanted := g.places[key]
		switch {
		case wanted:
			seen[key] = struct{}{}
			if was == want {
				s.Unchanged++
				continue
			}
			put = append(put, wish{key: key, place: want, had: was, there: true})
			line(&putLines, pb.Action_ACTION_UPDATE, key, fmt.Sprintf("host: %v, was %v", want.host, was.host))
		case here[key] != "": // creating it replaces the row
			covered = append(covered, wish{key: key, had: was, there: true})
		case g.removesPlace(key):
			gone = append(gone, wish{key: key, had: was, there: true})
			line(&goneLines, pb.Action_ACTION_REMOVE, key, "")
		default:
			s.Foreign++
		}
	}
	for key, want := range g.places {
		if _, ok := seen[key]; !ok {
			put = append(put, wish{key: key, place: want})
			line(&putLines, pb.Action_ACTION_ADD, key, "host: "+want.host.String())
		}
		h.mu.RLock()
		was, ok := h.places[key]
		h.mu.RUnlock()
		if !ok || was != want {
			p.change.putPlaces[key] = want
		}
	}
	h.mu.RLock()
	for key := range h.places {
		if _, wanted := g.places[key]; !wanted && g.removesPlace(key) {
			p.change.gonePlaces[key] = struct{}{}
		}
	}
	h.mu.RUnlock()
	for _, lines := range [][]*pb.PlanStep{putLines, goneLines} {
		slices.SortFunc(lines, func(a, b *pb.PlanStep) int { return natural(a.Key, b.Key) })
	}
	if len(put) > 0 {
		p.steps = append(p.steps, step{
			phase: phaseEndpoint, lines: putLines,
			do:   func(ctx context.Context) error { return h.writePlaces(ctx, put, nil) },
			undo: func(ctx context.Context) error { return h.restorePlaces(ctx, put) },
		})
	}
	if len(covered) > 0 && g.kinds[pb.Kind_KIND_LOCAL_ENDPOINT] {
		p.steps = append(p.steps, step{
			phase: phaseMakeWay, do: func(context.Context) error { return nil },
			undo: func(ctx context.Context) error { return h.restorePlaces(ctx, covered) },
		})
	}
	if len(gone) > 0 {
		p.steps = append(p.steps, step{
			phase: removal(phaseEndpoint), lines: goneLines,
			do:   func(ctx context.Context) error { return h.writePlaces(ctx, nil, gone) },
			undo: func(ctx context.Context) error { return h.restorePlaces(ctx, gone) },
		})
	}
	return nil
}

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
		if err := s.refused(ctx); err != nil {
			return err
		}
	}
	return nil
}

// run takes the steps of a plan. The first that fails ends it, and those before it are undone; with goOn the others
// are taken all the same, and failed hears of each.
func (p *plan) run(ctx context.Context, goOn bool, failed func(s step, err error)) error {
	for i, s := range p.steps {
		err := s.do(ctx)
		switch {
		case err == nil && len(s.lines) == 0:
			continue
		case err == nil:
		case goOn:
			failed(s, err)
			continue
		default:
			for _, done := range slices.Backward(p.steps[:i]) {
				if undo := done.undo(ctx); undo != nil {
					err = errors.Join(err, fmt.Errorf("undo: %w", undo))
				}
			}
			return err
		}
		if goOn {
			failed(s, nil)
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
