// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"fmt"
	"slices"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	tables "github.com/mizar-go/mizar/maps"
)

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
	there := 0 // of those that are wanted
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
			there++
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
	missing, err := h.missingPlaces(ctx, g.places, there)
	if err != nil {
		return err
	}
	for _, key := range missing {
		want := g.places[key]
		put = append(put, wish{key: key, place: want})
		line(&putLines, pb.Action_ACTION_ADD, key, "host: "+want.host.String())
	}
	h.changePlaces(p.change, g)
	for _, lines := range [][]*pb.PlanStep{putLines, goneLines} {
		slices.SortFunc(lines, func(a, b *pb.PlanStep) int { return natural(a.Key, b.Key) })
	}
	if len(put) > 0 {
		p.steps = append(p.steps, step{
			phase: phaseEndpoint, lines: putLines,
			do:   func(ctx context.Context) error { return h.putPlaces(ctx, put) },
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
			do:   func(ctx context.Context) error { return h.removePlaces(ctx, gone) },
			undo: func(ctx context.Context) error { return h.restorePlaces(ctx, gone) },
		})
	}
	return nil
}

// missingPlaces are the wanted ones that are not there. There may be a million of both, and mostly they are the same: how
// many are there tells whether it is worth a look which.
func (h *Host) missingPlaces(ctx context.Context, wanted map[tables.EndpointKey]place, there int) (missing []tables.EndpointKey, err error) {
	if there == len(wanted) {
		return nil, nil
	}
	seen := make(map[tables.EndpointKey]struct{}, there)
	if there > 0 {
		for row, err := range h.dp.Endpoint.List(ctx) {
			if err != nil {
				return nil, fmt.Errorf("list: %w", &Error{Kind: pb.Kind_KIND_ENDPOINT, Err: err})
			}
			if row.Host.IsValid() {
				seen[row.Key()] = struct{}{}
			}
		}
	}
	for key := range wanted {
		if _, is := seen[key]; !is {
			missing = append(missing, key)
		}
	}
	return missing, nil
}

// changePlaces finds what is asked for from now on, and was not, or was otherwise; and what is not any more.
func (h *Host) changePlaces(c *change, g *goal) {
	if g.standing {
		return
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	known := 0
	for key, want := range g.places {
		was, is := h.places[key]
		if is {
			known++
		}
		if !is || was != want {
			c.putPlaces[key] = want
		}
	}
	if known == len(h.places) {
		return
	}
	for key := range h.places {
		if _, wanted := g.places[key]; !wanted && g.removesPlace(key) {
			c.gonePlaces[key] = struct{}{}
		}
	}
}
