// SPDX-License-Identifier: Apache-2.0

package fill

import (
	"context"
	"sync"
	"time"

	"github.com/mizar-go/mizar/dataplane"
)

// rest is how many times as long as a count took none follows it: however large the tables are, counting takes
// no more than 2 % of a CPU.
const rest = 50

// background has one count at a time under way, for all who ask, and keeps what it found.
type background struct {
	count func(context.Context) ([]Table, error)
	age   time.Duration

	ctx    context.Context // ends with close
	cancel context.CancelFunc

	mu      sync.Mutex
	running chan struct{} // closed when the count under way ends; nil: none is
	last    result
}

// result is of a count.
type result struct {
	tables []Table
	err    error
	at     time.Time // it ended; zero: there was none
	until  time.Time // it is good
}

func newBackground(age time.Duration, count func(context.Context) ([]Table, error)) *background {
	b := &background{count: count, age: age}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	return b
}

// get is the last result, or waits for the next where that is too old.
func (b *background) get(ctx context.Context) (result, error) {
	if err := ctx.Err(); err != nil {
		return result{}, err
	}
	counted, r, err := b.begin()
	if counted == nil {
		return r, err
	}
	select {
	case <-counted:
	case <-ctx.Done():
		return result{}, ctx.Err()
	}
	if b.ctx.Err() != nil {
		return result{}, dataplane.ErrClosed
	}
	return b.now(), nil
}

// now is the last result, however old.
func (b *background) now() result {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last
}

// begin gives the last result, or, where that is too old, what is closed when there is a new one.
func (b *background) begin() (counted <-chan struct{}, _ result, _ error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.ctx.Err() != nil:
		return nil, result{}, dataplane.ErrClosed
	case b.running != nil:
		return b.running, result{}, nil
	case time.Now().Before(b.last.until):
		return nil, b.last, nil
	}
	b.running = make(chan struct{})
	go b.run(b.running)
	return b.running, result{}, nil
}

func (b *background) run(done chan struct{}) {
	began := time.Now()
	tables, err := b.count(b.ctx)
	now := time.Now()
	good := rest * now.Sub(began)
	if err == nil {
		good = max(good, b.age) // what failed may be mended soon
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last = result{tables, err, now, now.Add(good)}
	b.running = nil
	close(done)
}

// close ends the count under way, and waits for it.
func (b *background) close() {
	b.mu.Lock()
	b.cancel()
	running := b.running
	b.mu.Unlock()
	if running != nil {
		<-running
	}
}
