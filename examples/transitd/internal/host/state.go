// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"iter"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	tables "github.com/mizar-go/mizar/maps"
)

// State reads what is there, as Apply takes it: what was asked for, also what of it is away, and what is foreign. Lists
// come in parts of some size; the last part has the etag.
func (h *Host) State(ctx context.Context, kinds []pb.Kind, objects bool, size int) iter.Seq2[*pb.GetStateResponse, error] {
	return func(yield func(*pb.GetStateResponse, error) bool) {
		if err := h.checkKinds(kinds); err != nil {
			yield(nil, err)
			return
		}
		tag := h.Etag() // of before: what changes while it is read makes it an old one
		wanted := func(id pb.Kind) bool { return len(kinds) == 0 || slices.Contains(kinds, id) }
		part := &pb.GetStateResponse{State: &pb.State{}}
		for _, id := range slices.Sorted(maps.Keys(h.kinds)) {
			if !wanted(id) {
				continue
			}
			found, err := h.observe(ctx, h.kinds[id])
			if err != nil {
				yield(nil, err)
				return
			}
			h.addAway(id, found, func(proto.Message) bool { return true })
			n := 0
			for _, key := range slices.SortedFunc(maps.Keys(found), natural) {
				m := bare(found[key].msg)
				if f, ok := m.(*pb.Function); ok && !objects {
					f.Object = nil
				}
				h.kinds[id].into(part.State, m)
				_, large := m.(*pb.Function)
				if n++; n%size == 0 || large {
					if !yield(part, nil) {
						return
					}
					part = &pb.GetStateResponse{State: &pb.State{}}
				}
			}
		}
		if wanted(pb.Kind_KIND_ENDPOINT) {
			for e, err := range h.allPlaces(ctx) {
				if err != nil {
					yield(nil, err)
					return
				}
				if part.State.Endpoints = append(part.State.Endpoints, e); len(part.State.Endpoints) == size {
					if !yield(part, nil) {
						return
					}
					part = &pb.GetStateResponse{State: &pb.State{}}
				}
			}
		}
		part.Etag = tag
		yield(part, nil)
	}
}

// addAway adds what was asked for and is not there: it comes when it can, unless whoever applies what was read leaves it
// out.
func (h *Host) addAway(id pb.Kind, found map[string]*have, told func(proto.Message) bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for key, m := range h.asked[id] {
		if found[key] == nil && told(m) {
			found[key] = &have{key: key, msg: bare(m)}
		}
	}
}

// allPlaces are the endpoints of other hosts: those that are there, and those that were asked for and are away.
func (h *Host) allPlaces(ctx context.Context) iter.Seq2[*pb.Endpoint, error] {
	return func(yield func(*pb.Endpoint, error) bool) {
		own := 0
		for row, err := range h.dp.Endpoint.List(ctx) {
			if err != nil {
				yield(nil, err)
				return
			}
			if !row.Host.IsValid() {
				continue // of this host
			}
			h.mu.RLock()
			_, asked := h.places[row.Key()]
			h.mu.RUnlock()
			if asked {
				own++
			}
			if !yield(fromEndpoint(row), nil) {
				return
			}
		}
		var places map[tables.EndpointKey]place
		h.mu.RLock()
		if own < len(h.places) {
			places = maps.Clone(h.places)
		}
		h.mu.RUnlock()
		if places == nil {
			return
		}
		away, err := h.missingPlaces(ctx, places, own)
		if err != nil {
			yield(nil, err)
			return
		}
		for _, key := range away {
			if !yield(fromEndpoint(places[key].row(key)), nil) {
				return
			}
		}
	}
}
