// SPDX-License-Identifier: Apache-2.0

package fill

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// DefaultAge is how long a count is good where [Config.Age] is zero.
const DefaultAge = 10 * time.Second

// Config says what to count.
type Config struct {
	Instance string        // name of the data-plane; empty: dataplane.DefaultName
	BPFFS    string        // where bpffs is mounted; empty: dataplane.DefaultBPFFS
	Age      time.Duration // how long a count is good, or longer where counting takes long; zero: [DefaultAge]
}

// Meter counts the rows of an instance's tables. It is safe for concurrent use.
type Meter struct{ counts *background }

// New makes a meter, which counts nothing until it is asked. Close it.
func New(c Config) *Meter {
	if c.Age == 0 {
		c.Age = DefaultAge
	}
	return &Meter{newBackground(c.Age, func(ctx context.Context) ([]Table, error) {
		return count(ctx, c.BPFFS, c.Instance)
	})}
}

// Tables is how full the tables are, by name, at most some seconds ago. Where it has to be counted, it waits for
// that until ctx ends; the count goes on, for the next to ask. Tables that could not be read are missing, and the
// error says why.
func (m *Meter) Tables(ctx context.Context) ([]Table, error) {
	r, err := m.counts.get(ctx)
	if err == nil {
		err = r.err
	}
	if err != nil {
		err = fmt.Errorf("count rows: %w", err)
	}
	return slices.Clone(r.tables), err
}

// Last is what the last count found, however old it is, and when that was: zero where there was none yet. It waits
// for nothing and begins nothing.
func (m *Meter) Last() ([]Table, time.Time) {
	r := m.counts.now()
	return slices.Clone(r.tables), r.at
}

// Close ends a count under way, and waits for it. Afterwards Tables gives dataplane.ErrClosed. It may be called
// again.
func (m *Meter) Close() error {
	m.counts.close()
	return nil
}
