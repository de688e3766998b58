// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// door is a listener that bounds its connections. Where there is no room, the oldest one of which no call was
// let in has to leave: strangers cannot keep those out who have a certificate. If all have, a few more may come and show
// theirs, and room for them is made by the client that has the most connections.
type door struct {
	net.Listener
	most   int
	full   func(net.Addr) // of the one that had to leave
	mu     sync.Mutex
	guests map[*guest]struct{}
}

// spare is how many strangers may be there when all room is taken by others.
const spare = 8

// guest is a connection.
type guest struct {
	net.Conn
	door  *door
	since time.Time
	who   atomic.Pointer[string] // the client of which a call was let in; nil: a stranger
	once  sync.Once

	mu      sync.Mutex
	verdict verdict // on its certificate
}

func newDoor(l net.Listener, most int, full func(net.Addr)) *door {
	return &door{Listener: l, most: most, full: full, guests: map[*guest]struct{}{}}
}

func (d *door) Accept() (net.Conn, error) {
	c, err := d.Listener.Accept()
	if err != nil {
		return nil, err
	}
	g := &guest{Conn: c, door: d, since: time.Now()}
	if leaves := d.enter(g); leaves != nil {
		d.full(leaves.RemoteAddr())
		_ = leaves.Close()
	}
	return g, nil
}

// enter says who has to leave for g to be in.
func (d *door) enter(g *guest) (leaves *guest) {
	d.mu.Lock()
	defer d.mu.Unlock()
	strangers := 0
	for o := range d.guests {
		if o.who.Load() == nil {
			strangers++
			leaves = older(leaves, o)
		}
	}
	room := len(d.guests) < d.most || len(d.guests)-strangers >= d.most && strangers < spare
	if room {
		leaves = nil
	}
	delete(d.guests, leaves)
	d.guests[g] = struct{}{}
	return leaves
}

func older(a, b *guest) *guest {
	if a == nil || b.since.Before(a.since) {
		return b
	}
	return a
}

// knows is told of which client a call is let in. False: there is no room for one more connection of its.
func (g *guest) knows(client string) bool {
	if was := g.who.Load(); was != nil && *was == client {
		return true
	}
	leaves := g.door.makeRoom(g, client)
	if leaves == g {
		return false
	}
	if leaves != nil {
		g.door.full(leaves.RemoteAddr())
		_ = leaves.Close()
	}
	return true
}

// makeRoom has g be a client's, and says who has to leave for it: an older connection of the client that has the most,
// or g.
func (d *door) makeRoom(g *guest, client string) (leaves *guest) {
	d.mu.Lock()
	defer d.mu.Unlock()
	known, of, most := 1, map[string]int{client: 1}, client
	for o := range d.guests {
		if who := o.who.Load(); who != nil && o != g {
			known++
			of[*who]++
		}
	}
	if known > d.most {
		for name, n := range of {
			if n > of[most] {
				most = name
			}
		}
		if most == client {
			g.who.Store(nil)
			return g
		}
		for o := range d.guests {
			if who := o.who.Load(); who != nil && *who == most && o != g {
				leaves = older(leaves, o)
			}
		}
		delete(d.guests, leaves)
	}
	g.who.Store(&client)
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
