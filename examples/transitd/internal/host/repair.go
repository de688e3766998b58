// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/mizar-go/mizar/dataplane"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/examples/transitd/internal/journal"
	"github.com/mizar-go/mizar/maps"
)

// unsure is what was being changed when the daemon died: nobody knows how far it came.
type unsure struct {
	was        map[name]proto.Message // before; a nil message: nothing
	going      map[name]proto.Message // what was to be removed
	gonePlaces map[maps.EndpointKey]struct{}
}

// load reads what is wanted.
func (h *Host) load() (unsure, error) {
	u := unsure{was: make(map[name]proto.Message), gonePlaces: make(map[maps.EndpointKey]struct{})}
	j, found, err := journal.Open(h.options.StateDir, func(c journal.Change, pending bool) error {
		change, err := h.read(c)
		if err != nil {
			return err
		}
		if pending {
			for _, touched := range []map[name]proto.Message{change.put, change.gone} {
				for n := range touched {
					u.was[n] = h.asked[n.kind][n.key]
				}
			}
			u.going, u.gonePlaces = change.gone, change.gonePlaces
		}
		h.remember(change)
		return nil
	})
	if err != nil {
		return u, err
	}
	h.journal = j
	if found.Cut > 0 {
		h.log.Warn("the last change was not yet whole on disk, and was not made", "bytes", found.Cut)
	}
	return u, nil
}

// read takes what the journal has. It was checked when it was written.
func (h *Host) read(c journal.Change) (*change, error) {
	out := newChange()
	for id, k := range h.kinds {
		for _, m := range k.in(c.Put) {
			out.put[name{id, k.keyOf(m)}] = m
		}
		for _, m := range k.in(c.Remove) {
			out.gone[name{id, k.keyOf(m)}] = m
		}
	}
	for _, e := range c.Put.GetEndpoints() {
		key, p, err := toEndpoint(e)
		if err != nil {
			return nil, fmt.Errorf("read endpoint %d/%s: %w", e.Vni, e.Address, err)
		}
		out.putPlaces[key] = p
	}
	for _, e := range c.Remove.GetEndpoints() {
		key, err := addressKey(&pb.EndpointKey{Vni: e.Vni, Address: e.Address})
		if err != nil {
			return nil, fmt.Errorf("read endpoint %d/%s: %w", e.Vni, e.Address, err)
		}
		out.gonePlaces[key] = struct{}{}
	}
	return out, nil
}

// repair makes the host be as it was asked for, as far as it can. What is there, was not asked for, and was not about
// to go, is foreign, and stays.
func (h *Host) repair(ctx context.Context, u unsure) error {
	h.writer.Lock()
	defer h.writer.Unlock()
	g := h.standing()
	g.asked = func(n name) proto.Message {
		if was, touched := u.was[n]; touched {
			return was // if it was nothing, what is there is of the change
		}
		return h.askedFor(n.kind, n.key)
	}
	chained, err := h.chained(ctx)
	if err != nil {
		return err
	}
	g.fresh = func(n name) bool { // what is in a chain cannot be replaced, so it was before it got there
		was, touched := u.was[n]
		return touched && was == nil && chained[n.key]
	}
	g.removes = func(n name) bool { _, going := u.going[n]; return going }
	g.removesPlace = func(key maps.EndpointKey) bool { _, going := u.gonePlaces[key]; return going }
	if err := h.sweepWrecks(ctx, u); err != nil {
		return err
	}
	if err := h.sweepPorts(ctx); err != nil { // a bridge does not go before its ports, nor is a name free
		return err
	}
	p, err := h.compare(ctx, g)
	if err != nil {
		return err
	}
	h.withoutLatePorts(p)
	h.unrepaired, h.going = make(map[name]string), make(map[name]proto.Message)
	err = h.run(ctx, p, func(s step, err error) {
		if err != nil {
			h.unrepaired[s.name()] = err.Error()
			if m, going := u.going[s.name()]; going {
				h.going[s.name()] = m
			}
		}
		for _, line := range s.lines {
			h.repaired(line, err)
		}
	})
	if err != nil {
		return err
	}
	h.withChains(h.unrepaired)
	if err := h.findForeign(ctx); err != nil {
		return err
	}
	if s := p.summary[pb.Kind_KIND_ENDPOINT]; s.Add+s.Update+s.Remove > maxLines {
		h.log.Warn("repaired", "kind", KindName(s.Kind), "added", s.Add, "updated", s.Update, "removed", s.Remove)
	}
	h.problems.forget()
	for n, m := range p.change.put { // what was made anew has another status
		if _, ok := h.asked[n.kind][n.key]; ok {
			h.remember(&change{put: map[name]proto.Message{n: m}})
		}
	}
	if p.differs() || len(u.was)+len(u.gonePlaces) > 0 {
		if err := h.journal.Rewrite(h.everything()); err != nil {
			return err
		}
	}
	return h.beginGoing()
}

// chained are the functions that are in chains.
func (h *Host) chained(ctx context.Context) (map[string]bool, error) {
	all := make(map[string]bool)
	for c, err := range h.dp.Stage.List(ctx) {
		if err != nil {
			return nil, fmt.Errorf("list: %w", &Error{Kind: pb.Kind_KIND_STAGE, Err: err})
		}
		for _, f := range c.Functions {
			all[f] = true
		}
	}
	return all, nil
}

// sweepWrecks removes what is left of a change that the daemon died over and that comparing does not find: endpoints
// that lack addresses, or all of them, and with these their names; and a function that was being tried.
func (h *Host) sweepWrecks(ctx context.Context, u unsure) error {
	touched := make(map[maps.EndpointKey]bool)
	named := make(map[string][]maps.EndpointKey) // what endpoints had, by their interfaces
	for n, was := range u.was {
		if n.kind == pb.Kind_KIND_FUNCTION {
			if err := h.dp.Function.Remove(ctx, trial); err != nil && !errors.Is(err, dataplane.ErrNotFound) {
				return err
			}
		}
		for _, m := range []proto.Message{was, h.asked[n.kind][n.key]} {
			e, ok := m.(*pb.LocalEndpoint)
			if !ok {
				continue
			}
			for _, a := range localAddrs(e) {
				key := maps.EndpointKey{VNI: e.Vni, Addr: a}
				touched[key] = true
				for _, name := range []string{e.HostInterface, e.GetAdopt(), e.GetStatus().GetHostInterface()} {
					named[name] = append(named[name], key)
				}
			}
		}
	}
	if len(touched) == 0 {
		return nil
	}
	delete(named, "")
	var wrecks []*pb.LocalEndpoint
	for e, err := range h.dp.Endpoint.Local(ctx) {
		if err != nil {
			return fmt.Errorf("list: %w", &Error{Kind: pb.Kind_KIND_LOCAL_ENDPOINT, Err: err})
		}
		m := fromLocal(e)
		n := name{pb.Kind_KIND_LOCAL_ENDPOINT, localKey(m)}
		if _, found := u.was[n]; found {
			continue
		}
		ours := len(e.Addrs) == 0
		rest := len(e.Addrs) > 0 // of one whose rows went one by one
		for _, a := range e.Addrs {
			key := maps.EndpointKey{VNI: e.VNI, Addr: a}
			ours = ours || touched[key]
			rest = rest && slices.Contains(named[e.HostInterface], key)
		}
		if e.Partial && ours || rest {
			wrecks = append(wrecks, m)
		}
	}
	for _, m := range wrecks {
		line := &pb.PlanStep{
			Action: pb.Action_ACTION_REMOVE, Kind: pb.Kind_KIND_LOCAL_ENDPOINT, Key: m.Status.HostInterface,
			Detail: "it was being made, or deleted, when the daemon died",
		}
		h.repaired(line, h.dp.Endpoint.Delete(ctx, m.Status.HostInterface))
	}
	return nil
}

// standing is the goal that all be as it was asked for.
func (h *Host) standing() *goal {
	g := &goal{
		kinds: map[pb.Kind]bool{pb.Kind_KIND_ENDPOINT: true}, want: make(map[pb.Kind]map[string]proto.Message),
		standing:     true,
		asked:        func(n name) proto.Message { return h.askedFor(n.kind, n.key) },
		removes:      func(name) bool { return false },
		removesPlace: func(maps.EndpointKey) bool { return false },
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	for id, all := range h.asked {
		g.kinds[id] = true
		g.want[id] = make(map[string]proto.Message, len(all))
		for key, m := range all {
			g.want[id][key] = m
		}
	}
	g.places = h.places // which the writer reads, and nobody changes before it is compared
	return g
}

func (h *Host) repaired(line *pb.PlanStep, err error) {
	r := &pb.Repair{Time: timestamppb.Now(), Step: line}
	args := []any{"action", line.Action.String(), "kind", KindName(line.Kind), "key", line.Key, "detail", line.Detail}
	if err != nil {
		r.Error = err.Error()
		h.log.Error("not repaired", append(args, "error", err)...)
	} else {
		h.log.Warn("repaired", args...)
		h.changed(line.Kind, line.Key, outcomes[line.Action], 1, "transitd")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.repairs) < maxLines {
		h.repairs = append(h.repairs, r)
	}
}

// findForeign finds the endpoints of other hosts that nobody asked for.
func (h *Host) findForeign(ctx context.Context) error {
	foreign := make(map[maps.EndpointKey]struct{})
	for row, err := range h.dp.Endpoint.List(ctx) {
		if err != nil {
			return fmt.Errorf("list: %w", &Error{Kind: pb.Kind_KIND_ENDPOINT, Err: err})
		}
		if _, own := h.places[row.Key()]; !own && row.Host.IsValid() {
			foreign[row.Key()] = struct{}{}
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.foreignPlaces = foreign
	return nil
}
