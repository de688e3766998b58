// SPDX-License-Identifier: Apache-2.0

package listen

import "sync"

// flight counts the calls that each client has under way, on all of its connections. The bounds of a connection and of
// a listener do not bound what they come to together: that could be more than there is memory for.
type flight struct {
	most int
	mu   sync.Mutex
	by   map[string]int // never 0
}

func newFlight(most int) *flight { return &flight{most: most, by: map[string]int{}} }

// begin takes one call more of a client's, unless there are too many. Its end is end's.
func (f *flight) begin(name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.by[name] >= f.most {
		return false
	}
	f.by[name]++
	return true
}

func (f *flight) end(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.by[name]--; f.by[name] == 0 {
		delete(f.by, name)
	}
}
