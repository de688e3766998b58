// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/mizar-go/mizar/dataplane"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/maps"
)

// backlog is how many events a watcher may be behind.
const backlog = 4096

// broker hands events to all who watch. Nobody waits for a slow one: it loses events, and is told how many.
type broker struct {
	mu       sync.Mutex
	watchers map[*Watcher]struct{}
}

// Watcher is one who watches.
type Watcher struct {
	b      *broker
	filter func(*pb.Event) bool
	events chan *pb.Event
	mu     sync.Mutex
	lost   uint64
}

// Watch begins to watch: no event that filter lets pass is missed from here on, but for those that Lost counts.
func (h *Host) Watch(filter func(*pb.Event) bool) *Watcher {
	w := &Watcher{b: &h.events, filter: filter, events: make(chan *pb.Event, backlog)}
	h.events.mu.Lock()
	defer h.events.mu.Unlock()
	h.events.watchers[w] = struct{}{}
	return w
}

// Events is where they come.
func (w *Watcher) Events() <-chan *pb.Event { return w.events }

// Lost is how many were missed so far.
func (w *Watcher) Lost() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lost
}

// Close ends watching.
func (w *Watcher) Close() {
	w.b.mu.Lock()
	defer w.b.mu.Unlock()
	delete(w.b.watchers, w)
}

func (b *broker) publish(e *pb.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for w := range b.watchers {
		if !w.filter(e) {
			continue
		}
		select {
		case w.events <- e:
		default:
			w.mu.Lock()
			w.lost++
			w.mu.Unlock()
		}
	}
}

func (h *Host) changed(id pb.Kind, key string, outcome pb.Outcome, count int, by string) {
	h.events.publish(&pb.Event{Time: timestamppb.Now(), Event: &pb.Event_Change{Change: &pb.Change{
		Kind: id, Key: key, Outcome: outcome, Count: uint64(count), By: by,
	}}})
}

// pump reads sampled drops until the host is closed, also while nobody watches: a watcher sees no old ones.
func (h *Host) pump(ctx context.Context) {
	for ctx.Err() == nil {
		for e, err := range h.dp.Stats.Events(ctx) {
			if errors.Is(err, dataplane.ErrClosed) || ctx.Err() != nil {
				return
			}
			if err != nil {
				h.log.Warn("events of dropped packets cannot be read", "error", err)
				break
			}
			h.events.publish(drop(e))
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

func drop(e maps.Event) *pb.Event {
	return &pb.Event{Time: timestamppb.Now(), Event: &pb.Event_Drop{Drop: &pb.Drop{
		Reason: e.Name, Hook: e.Hook.String(), Ifindex: uint32(e.Ifindex), Vni: e.VNI, Length: uint32(e.Length),
		OuterSource: text(e.Outer), Source: text(e.Source), Destination: text(e.Destination), Bytes: e.Bytes,
	}}}
}
