// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/cilium/ebpf/ringbuf"

	"github.com/mizar-go/mizar/bpf"
)

// Event is one sampled drop.
type Event struct {
	Time        time.Duration // CLOCK_MONOTONIC: since boot, but for suspends
	Reason      bpf.Reason    // why
	Name        string        // Reason's, or what a function calls it
	Hook        bpf.Hook      // where
	Ifindex     int           // where the packet came in
	VNI         uint32        // 0: not known yet
	Length      int           // of the frame, bytes
	Outer       netip.Addr    // outer source; zero: none
	Source      netip.Addr    // inner; zero: not known yet
	Destination netip.Addr    // inner; zero: not known yet
	Bytes       []byte        // the frame's first bytes, 128 at most
}

// Events are sampled drops, as many a second as the settings allow.
type Events struct {
	s      *store
	mu     sync.Mutex
	reader *ringbuf.Reader // nil: nobody reads
}

// Read yields events as they come, those first that came while nobody read, until ctx is done: then it
// just ends. Each event is read once, so there may be one reader: a second one here gets [ErrExists], and
// one in another process takes events away.
func (t *Events) Read(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		if ctx.Err() != nil {
			return
		}
		r, err := t.open()
		if err != nil {
			yield(Event{}, naming(err, "read", "events"))
			return
		}
		closed := make(chan struct{})
		stop := context.AfterFunc(ctx, func() {
			defer close(closed)
			r.Close()
		})
		defer func() {
			if !stop() {
				<-closed
			}
			t.release(r)
		}()
		var record ringbuf.Record
		for {
			err := r.ReadInto(&record)
			var e Event
			if err == nil {
				e, err = eventFromWire(record.RawSample)
			}
			if err == nil {
				e.Name, err = t.s.nameOf(e.Reason)
			}
			if ctx.Err() != nil {
				return
			}
			if errors.Is(err, os.ErrClosed) {
				err = ErrClosed
			}
			if !yield(e, naming(err, "read", "events")) || err != nil {
				return
			}
		}
	}
}

// open makes the caller the one reader.
func (t *Events) open() (r *ringbuf.Reader, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	// Reading moves on for all.
	err = t.s.change(func() (err error) {
		if t.reader != nil {
			return fmt.Errorf("a reader %w", ErrExists)
		}
		r, err = ringbuf.NewReader(t.s.maps.Events)
		return explain(err)
	})
	t.reader = r
	return r, err
}

func (t *Events) release(r *ringbuf.Reader) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r.Close()
	t.reader = nil
}

// close ends whoever reads.
func (t *Events) close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.reader == nil {
		return nil
	}
	return t.reader.Close()
}

func eventFromWire(b []byte) (Event, error) {
	var w bpf.TableEvent
	if _, err := binary.Decode(b, binary.NativeEndian, &w); err != nil {
		return Event{}, fmt.Errorf("decode event of %d bytes: %w", len(b), err)
	}
	return Event{
		Time:        time.Duration(w.Time),
		Reason:      w.Reason,
		Hook:        w.Hook,
		Ifindex:     int(w.Ifindex),
		VNI:         w.Vni,
		Length:      int(w.Length),
		Outer:       fromWire(w.Outer),
		Source:      fromWire(w.Source),
		Destination: fromWire(w.Destination),
		Bytes:       slices.Clone(w.Bytes[:min(w.Captured, uint32(len(w.Bytes)))]),
	}, nil
}

// Lost is how many drops were not reported, since the tables were made: above the rate, or no room.
func (t *Events) Lost() (lost uint64, err error) {
	err = t.s.look(func() error {
		var cpus []bpf.TableEventLimit
		if err := t.s.maps.EventLimits.Lookup(uint32(0), &cpus); err != nil {
			return explain(err)
		}
		for _, c := range cpus {
			lost += c.Lost
		}
		return nil
	})
	return lost, naming(err, "count", "lost events")
}
