// SPDX-License-Identifier: Apache-2.0

package host

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	tables "github.com/mizar-go/mizar/maps"
)

// goal is what shall be, of some kinds or all.
type goal struct {
	kinds  map[pb.Kind]bool
	want   map[pb.Kind]map[string]proto.Message
	places map[tables.EndpointKey]place
	// standing: it is what was asked for already.
	standing bool
	// asked is by what what is there was asked for; nil: not known.
	asked func(n name) proto.Message
	// fresh tells whether what is there is of a change of ours that was cut short; nil: nothing is.
	fresh func(n name) bool
	// removes tells whether what is there, and not wanted, goes. What does not is foreign.
	removes      func(n name) bool
	removesPlace func(key tables.EndpointKey) bool
}

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
	h.release(p, g, found)
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
		if there != nil && !there.own {
			there.fresh = g.fresh != nil && g.fresh(n)
			k.foreign(ctx, there, want)
		}
		switch {
		case there == nil:
			s := p.add(k.when(want), &pb.PlanStep{Action: pb.Action_ACTION_ADD, Kind: n.kind, Key: key}, h.write(p, k, n, want, nil), h.unwrite(p, k, n))
			s.refused = func(ctx context.Context) error { return k.refuses(ctx, want, nil) }
			s.what = subject{k: k, put: want}
		case there.broken == "" && k.same(ctx, want, there, g.asked(n)):
			p.summary[n.kind].Unchanged++
			_, changes := p.change.put[n]
			if e, ok := want.(*pb.LocalEndpoint); changes || ok && e.Status == nil { // what was made up is not known yet
				p.change.put[n] = withStatus(want, there.seen)
			}
		default:
			line := &pb.PlanStep{Action: pb.Action_ACTION_UPDATE, Kind: n.kind, Key: key, Detail: cmp.Or(difference(want, there), "it is not as it was asked for")}
			if k.loses(want, there) {
				line.Action = pb.Action_ACTION_REPLACE
			}
			s := p.add(k.when(want), line, h.write(p, k, n, want, there), h.rewrite(p, k, n, there))
			s.refused = func(ctx context.Context) error { return k.refuses(ctx, want, there) }
			s.what = subject{k: k, put: want, was: there.msg}
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
		p.add(removal(k.when(there.msg)), &pb.PlanStep{Action: pb.Action_ACTION_REMOVE, Kind: n.kind, Key: key}, r.do, r.undo).what = subject{k: k, was: there.msg}
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
		text += fmt.Sprintf("%s: %s, was %s", f.JSONName(), said(is, f), said(was, f))
	}
	return text
}
