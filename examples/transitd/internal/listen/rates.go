// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"container/list"
	"sync"

	"golang.org/x/time/rate"
)

// maxClients bounds of how many clients the rate is kept. The one that called longest ago is forgotten first,
// and has a full burst again: by then it has mostly earned it.
const maxClients = 1024

// rates bound the calls of each client.
type rates struct {
	limit rate.Limit
	burst int
	mu    sync.Mutex
	by    map[string]*list.Element // of *client
	order list.List                // last call first
}

type client struct {
	name string
	*rate.Limiter
}

func newRates(perSecond, burst int) *rates {
	return &rates{limit: rate.Limit(perSecond), burst: burst, by: map[string]*list.Element{}}
}

// allow takes one call of a client's.
func (r *rates) allow(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.by[name]
	if e == nil {
		if r.order.Len() == maxClients {
			last := r.order.Back()
			delete(r.by, r.order.Remove(last).(*client).name)
		}
		e = r.order.PushFront(&client{name, rate.NewLimiter(r.limit, r.burst)})
		r.by[name] = e
	}
	r.order.MoveToFront(e)
	return e.Value.(*client).Allow()
}
