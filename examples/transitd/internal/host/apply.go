// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"google.golang.org/protobuf/proto"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	tables "github.com/mizar-go/mizar/maps"
)

// Apply makes the host be as the request says: see the API's HostService.Apply.
func (h *Host) Apply(ctx context.Context, r *pb.ApplyRequest, by string) (*pb.ApplyResponse, error) {
	g, err := h.goal(r)
	if err != nil {
		return nil, err
	}
	h.writer.Lock()
	defer h.writer.Unlock()
	if current := h.Etag(); stale(r.Etag, current) {
		return nil, &Error{Etag: current, Err: ErrEtag}
	}
	if err := h.settleStages(ctx, g); err != nil {
		return nil, err
	}
	if !g.kinds[pb.Kind_KIND_LOCAL_ENDPOINT] {
		for key, local := range addressesOf(h.asked[pb.Kind_KIND_LOCAL_ENDPOINT]) { // the writer reads
			if _, elsewhere := g.places[key]; elsewhere {
				return nil, &Error{Kind: pb.Kind_KIND_ENDPOINT, Key: key.String(), Err: livesHere(key.Addr.String(), local)}
			}
		}
	}
	p, err := h.compare(ctx, g)
	if err != nil {
		return nil, err
	}
	if err := p.checkChains(g); err != nil {
		return nil, err
	}
	if err := p.refused(ctx); err != nil {
		return nil, err
	}
	var displaced []wish // which the plan does not know of, if it is not of their kind
	for _, e := range g.want[pb.Kind_KIND_LOCAL_ENDPOINT] {
		h.moved(p.change, e)
		if g.kinds[pb.Kind_KIND_ENDPOINT] {
			continue
		}
		some, err := h.displaced(ctx, e)
		if err != nil {
			return nil, err
		}
		displaced = append(displaced, some...)
	}
	for n, m := range p.change.gone {
		if n.kind == pb.Kind_KIND_LOCAL_ENDPOINT && !g.kinds[pb.Kind_KIND_STAGE] {
			h.orphaned(p.change, m)
		}
	}
	for key := range p.change.putPlaces { // unless they are wanted there again
		delete(p.change.gonePlaces, key)
	}
	answer := &pb.ApplyResponse{Changed: p.differs(), Steps: p.lines(), Summary: p.sums()}
	if !r.DryRun && (!p.change.empty() || p.differs()) {
		err := h.commit(ctx, p.change, func(ctx context.Context) error {
			err := h.run(ctx, p, nil)
			if err != nil && len(displaced) > 0 {
				err = errors.Join(err, h.restorePlaces(ctx, displaced))
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		h.announce(p, g, by)
	}
	answer.Etag = h.Etag()
	return answer, nil
}

// everyKind is all that a goal can speak of.
func (h *Host) everyKind() map[pb.Kind]bool {
	all := map[pb.Kind]bool{pb.Kind_KIND_ENDPOINT: true}
	for id := range h.kinds {
		all[id] = true
	}
	return all
}

// checkKinds finds what is no kind.
func (h *Host) checkKinds(all []pb.Kind) error {
	for i, id := range all {
		if h.kinds[id] == nil && id != pb.Kind_KIND_ENDPOINT {
			return &Error{Field: fmt.Sprintf("kinds[%d]", i), Err: wrong("kinds", "%v is no kind", id)}
		}
	}
	return nil
}

// settleStages names the endpoints of all stages that are wanted as they are named everywhere.
func (h *Host) settleStages(ctx context.Context, g *goal) error {
	id := pb.Kind_KIND_STAGE
	locals := g.want[pb.Kind_KIND_LOCAL_ENDPOINT]
	if !g.kinds[pb.Kind_KIND_LOCAL_ENDPOINT] {
		locals = h.asked[pb.Kind_KIND_LOCAL_ENDPOINT] // the writer reads
	}
	settled := make(map[string]proto.Message, len(g.want[id]))
	for key, m := range g.want[id] {
		m, err := h.settled(ctx, m, locals)
		if err != nil {
			return err
		}
		as := h.kinds[id].keyOf(m)
		if g.kinds[pb.Kind_KIND_LOCAL_ENDPOINT] && h.leaves(g, m.(*pb.Stage).Scope) {
			return &Error{Kind: id, Key: key, Field: "state.stages", Err: wrong("state.stages", "%s is of an endpoint that is not wanted", as)}
		}
		if settled[as] != nil {
			return &Error{Kind: id, Key: key, Field: "state.stages", Err: wrong("state.stages", "%s is there twice: it is the same endpoint's", as)}
		}
		settled[as] = m
	}
	g.want[id] = settled
	return nil
}

// leaves tells whether a scope is of an endpoint that is here because it was asked for, and is not wanted any more: its
// chain would go with it.
func (h *Host) leaves(g *goal, scope *pb.StageScope) bool {
	a, err := netip.ParseAddr(scope.GetAddress())
	if err != nil {
		return false
	}
	has := func(all map[string]proto.Message) bool {
		for _, m := range all {
			if e := m.(*pb.LocalEndpoint); e.Vni == scope.Vni && slices.Contains(localAddrs(e), a) {
				return true
			}
		}
		return false
	}
	id := pb.Kind_KIND_LOCAL_ENDPOINT
	return !has(g.want[id]) && has(h.asked[id]) // the writer reads
}

// outcomes are what steps come to.
var outcomes = [...]pb.Outcome{
	pb.Action_ACTION_ADD: pb.Outcome_OUTCOME_ADDED, pb.Action_ACTION_UPDATE: pb.Outcome_OUTCOME_REPLACED,
	pb.Action_ACTION_REPLACE: pb.Outcome_OUTCOME_REPLACED, pb.Action_ACTION_REMOVE: pb.Outcome_OUTCOME_REMOVED,
}

// announce tells watchers what was done, and what went along.
func (h *Host) announce(p *plan, g *goal, by string) {
	along := &change{gone: maps.Clone(p.change.gone), gonePlaces: make(map[tables.EndpointKey]struct{})}
	here := localKeys(g)
	for key := range p.change.gonePlaces {
		if here[key] != "" { // the others are counted
			along.gonePlaces[key] = struct{}{}
		}
	}
	defer h.alongWith(along, by)
	for _, s := range p.steps {
		if len(s.lines) == 0 {
			continue
		}
		line := s.lines[0]
		if line.Kind != pb.Kind_KIND_ENDPOINT {
			delete(along.gone, s.name())
			h.changed(line.Kind, line.Key, outcomes[line.Action], 1, by)
		}
	}
	if s := p.summary[pb.Kind_KIND_ENDPOINT]; s != nil {
		for outcome, n := range map[pb.Outcome]uint64{
			pb.Outcome_OUTCOME_ADDED: s.Add, pb.Outcome_OUTCOME_REPLACED: s.Update + s.Replace, pb.Outcome_OUTCOME_REMOVED: s.Remove,
		} {
			if n > 0 {
				h.changed(pb.Kind_KIND_ENDPOINT, "", outcome, int(n), by)
			}
		}
	}
}

// goal reads what is wanted, and checks all of it.
func (h *Host) goal(r *pb.ApplyRequest) (*goal, error) {
	g := &goal{
		kinds: make(map[pb.Kind]bool), want: make(map[pb.Kind]map[string]proto.Message),
		places: make(map[tables.EndpointKey]place, len(r.GetState().GetEndpoints())),
	}
	if err := h.checkKinds(r.Kinds); err != nil {
		return nil, err
	}
	for _, id := range r.Kinds {
		g.kinds[id] = true
	}
	if len(r.Kinds) == 0 {
		g.kinds = h.everyKind()
	}
	g.asked = func(n name) proto.Message { return h.askedFor(n.kind, n.key) }
	g.removes = func(n name) bool { return h.askedFor(n.kind, n.key) != nil }
	g.removesPlace = func(key tables.EndpointKey) bool { _, own := h.places[key]; return own } // the writer reads
	state := r.GetState()
	if state == nil { // one that is empty is meant, one that is not there forgotten
		return nil, &Error{Field: "state", Err: wrong("state", "it is not given")}
	}
	for id, k := range h.kinds {
		g.want[id] = make(map[string]proto.Message)
		for i, m := range k.in(state) {
			where := fmt.Sprintf("state.%s[%d]", fieldName(m), i)
			if !g.kinds[id] {
				return nil, &Error{Kind: id, Field: where, Err: wrong(where, "kinds leaves this kind out")}
			}
			c, key, err := k.checked(m)
			if err != nil {
				if of, ok := errors.AsType[*Error](err); ok {
					err = of.Err // which says the same of the message alone
				}
				return nil, &Error{Kind: id, Field: where + "." + fieldOf(err), Err: err}
			}
			if g.want[id][key] != nil {
				return nil, &Error{Kind: id, Key: key, Field: where, Err: wrong(where, "it is there twice")}
			}
			g.want[id][key] = c
		}
	}
	if err := checkPorts(state); err != nil {
		return nil, err
	}
	return g, h.goalPlaces(g, state)
}

// checkPorts finds an interface that shall be a port of two bridges.
func checkPorts(state *pb.State) error {
	of := make(map[string]string)
	for i, b := range state.Bridges {
		for j, port := range b.Ports {
			where := fmt.Sprintf("state.bridges[%d].ports[%d]", i, j)
			if other := of[port]; other != "" {
				return &Error{Kind: pb.Kind_KIND_BRIDGE, Key: b.Name, Field: where, Err: wrong(where, "%s is a port of %s", port, other)}
			}
			of[port] = b.Name
		}
	}
	return nil
}

func (h *Host) goalPlaces(g *goal, state *pb.State) error {
	id := pb.Kind_KIND_ENDPOINT
	if len(state.Endpoints) > 0 && !g.kinds[id] {
		return &Error{Kind: id, Field: "state.endpoints", Err: wrong("state.endpoints", "kinds leaves this kind out")}
	}
	for i, e := range state.Endpoints {
		where := fmt.Sprintf("state.endpoints[%d]", i)
		key, p, err := toEndpoint(e)
		if err != nil {
			return &Error{Kind: id, Field: where + "." + fieldOf(err), Err: err}
		}
		if _, is := g.places[key]; is {
			return &Error{Kind: id, Key: key.String(), Field: where, Err: wrong(where, "it is there twice")}
		}
		g.places[key] = p
	}
	seen := make(map[tables.EndpointKey]string)
	for name, m := range g.want[pb.Kind_KIND_LOCAL_ENDPOINT] {
		e := m.(*pb.LocalEndpoint)
		for _, a := range localAddrs(e) {
			key := tables.EndpointKey{VNI: e.Vni, Addr: a}
			_, elsewhere := g.places[key]
			other, is := seen[key]
			if elsewhere {
				other = "an endpoint of another host"
			}
			if is || elsewhere {
				return &Error{
					Kind: pb.Kind_KIND_LOCAL_ENDPOINT, Key: name, Field: "state.local_endpoints",
					Err: wrong("state.local_endpoints", "%s is in the state twice (%s)", key, other),
				}
			}
			seen[key] = name
		}
	}
	return nil
}

// fieldName is the list in a state that a message is in.
func fieldName(m proto.Message) string {
	fields := (&pb.State{}).ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		if f := fields.Get(i); f.Message().FullName() == m.ProtoReflect().Descriptor().FullName() {
			return string(f.Name())
		}
	}
	return ""
}

// Etag is of all that was asked for.
func (h *Host) Etag() string {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return etag(h.sum)
}
