// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// door is a listener that bounds its connections. Where there is no room, the oldest one of which no call was
// let in has to leave: strangers cannot keep those out who have a certificate. If all have, the new one has to.
type door struct {
	net.Listener
	most   int
	full   func(net.Addr) // of the one that had to leave
	mu     sync.Mutex
	guests map[*guest]struct{}
}

// guest is a connection.
type guest struct {
	net.Conn
	door  *door
	since time.Time
	known atomic.Bool // a call of it was let in
	once  sync.Once

	mu      sync.Mutex
	verdict verdict // on its certificate
}

func newDoor(l net.Listener, most int, full func(net.Addr)) *door {
	return &door{Listener: l, most: most, full: full, guests: map[*guest]struct{}{}}
}

func (d *door) Accept() (net.Conn, error) {
	for {
		c, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		g := &guest{Conn: c, door: d, since: time.Now()}
		leaves := d.enter(g)
		if leaves == nil {
			return g, nil
		}
		d.full(leaves.RemoteAddr())
		_ = leaves.Close()
		if leaves != g {
			return g, nil
		}
	}
}

// enter says who has to leave for g to be in: g itself, if it is not.
func (d *door) enter(g *guest) (leaves *guest) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.guests) >= d.most {
		for o := range d.guests {
			if !o.known.Load() && (leaves == nil || o.since.Before(leaves.since)) {
				leaves = o
			}
		}
		if leaves == nil {
			return g
		}
		delete(d.guests, leaves)
	}
	d.guests[g] = struct{}{}
	return leaves
}

func (g *guest) Close() error {
	g.once.Do(func() {
		g.door.mu.Lock()
		defer g.door.mu.Unlock()
		delete(g.door.guests, g)
	})
	return g.Conn.Close()
}
