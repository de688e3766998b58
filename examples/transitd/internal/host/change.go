// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"maps"

	"google.golang.org/protobuf/proto"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/examples/transitd/internal/journal"
	tables "github.com/mizar-go/mizar/maps"
)

// name is of one resource.
type name struct {
	kind pb.Kind
	key  string
}

// change is what is asked for from now on, as far as it changes.
type change struct {
	put        map[name]proto.Message
	gone       map[name]proto.Message // what is not asked for any more
	putPlaces  map[tables.EndpointKey]place
	gonePlaces map[tables.EndpointKey]struct{}
}

func newChange() *change {
	return &change{
		put: make(map[name]proto.Message), gone: make(map[name]proto.Message),
		putPlaces: make(map[tables.EndpointKey]place), gonePlaces: make(map[tables.EndpointKey]struct{}),
	}
}

func (c *change) empty() bool {
	return len(c.put) == 0 && len(c.gone) == 0 && len(c.putPlaces) == 0 && len(c.gonePlaces) == 0
}

// commit writes down what is about to be, does it, and remembers it. Once begun it does not heed that ctx ends: a
// client that goes away leaves nothing half-done.
func (h *Host) commit(ctx context.Context, c *change, do func(context.Context) error) error {
	if h.journal.Full() {
		if err := h.journal.Rewrite(h.everything()); err != nil && h.journal.Broken() {
			return err
		} else if err != nil {
			h.log.Warn("the journal grows, as it cannot be written anew", "error", err)
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := h.journal.Begin(h.forward(h.withGoing(c))); err != nil {
		return err
	}
	defer h.beat.Add(1)
	if err := do(context.WithoutCancel(ctx)); err != nil {
		return errors.Join(err, h.journal.End(h.backward(c)), h.beginGoing())
	}
	h.remember(c)
	h.problems.mended()
	for _, touched := range []map[name]proto.Message{c.put, c.gone} {
		for n := range touched {
			delete(h.going, n)
		}
	}
	if err := errors.Join(h.journal.End(h.told(c)), h.beginGoing()); err != nil {
		// It is done, and begun is on disk: the next start looks after it again.
		h.log.Warn("the end of a change is not on disk", "error", err)
	}
	return nil
}

// withGoing is c, and what is to be removed since the start: of changes that were begun, the journal knows the last.
func (h *Host) withGoing(c *change) *change {
	if len(h.going) == 0 {
		return c
	}
	with := *c
	with.gone = maps.Clone(h.going)
	maps.Copy(with.gone, c.gone)
	for n := range c.put {
		delete(with.gone, n)
	}
	return &with
}

// beginGoing writes down that what is still to be removed since the start is about to be, also for the next start.
func (h *Host) beginGoing() error {
	if len(h.going) == 0 {
		return nil
	}
	return h.journal.Begin(h.forward(&change{gone: h.going}))
}

func (h *Host) forward(c *change) journal.Change {
	put, gone := &pb.State{}, &pb.State{}
	for n, m := range c.put {
		h.kinds[n.kind].into(put, m)
	}
	for n, m := range c.gone {
		h.kinds[n.kind].into(gone, m)
	}
	for key, p := range c.putPlaces {
		put.Endpoints = append(put.Endpoints, fromEndpoint(p.row(key)))
	}
	for key := range c.gonePlaces {
		gone.Endpoints = append(gone.Endpoints, &pb.Endpoint{Vni: key.VNI, Address: key.Addr.String()})
	}
	return journal.Change{Put: put, Remove: gone}
}

// backward takes c back: what is remembered is as it was before.
func (h *Host) backward(c *change) journal.Change {
	h.mu.RLock()
	defer h.mu.RUnlock()
	back := newChange()
	for _, touched := range []map[name]proto.Message{c.put, c.gone} {
		for n, m := range touched {
			if was, ok := h.asked[n.kind][n.key]; ok {
				back.put[n] = was
			} else {
				back.gone[n] = m
			}
		}
	}
	place := func(key tables.EndpointKey) {
		if was, ok := h.places[key]; ok {
			back.putPlaces[key] = was
		} else {
			back.gonePlaces[key] = struct{}{}
		}
	}
	for key := range c.putPlaces {
		place(key)
	}
	for key := range c.gonePlaces {
		place(key)
	}
	return h.forward(back)
}

// told is what the library made up: the MAC of a workload, the name of its interface. It stays so when the host
// starts anew.
func (h *Host) told(c *change) journal.Change {
	put := &pb.State{}
	for n, m := range c.put {
		if n.kind == pb.Kind_KIND_LOCAL_ENDPOINT {
			h.kinds[n.kind].into(put, m)
		}
	}
	return journal.Change{Put: put}
}

// remember takes a change that was made.
func (h *Host) remember(c *change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for n := range c.gone {
		h.drop(n)
	}
	for n, m := range c.put {
		h.drop(n)
		h.asked[n.kind][n.key] = m
		h.sum ^= sum(bare(m))
	}
	for key := range c.gonePlaces {
		h.dropPlace(key)
		delete(h.foreignPlaces, key)
	}
	for key, p := range c.putPlaces {
		h.dropPlace(key)
		delete(h.foreignPlaces, key)
		h.places[key] = p
		h.sum ^= p.sum(key)
	}
}

func (h *Host) drop(n name) {
	if was, ok := h.asked[n.kind][n.key]; ok {
		h.sum ^= sum(bare(was))
		delete(h.asked[n.kind], n.key)
	}
}

func (h *Host) dropPlace(key tables.EndpointKey) {
	if was, ok := h.places[key]; ok {
		h.sum ^= was.sum(key)
		delete(h.places, key)
	}
}

// everything that was asked for.
func (h *Host) everything() *pb.State {
	h.mu.RLock()
	defer h.mu.RUnlock()
	s := &pb.State{}
	for id, all := range h.asked {
		for _, m := range all {
			h.kinds[id].into(s, m)
		}
	}
	for key, p := range h.places {
		s.Endpoints = append(s.Endpoints, fromEndpoint(p.row(key)))
	}
	return s
}
