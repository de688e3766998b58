// SPDX-License-Identifier: Apache-2.0

package afxdp

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/maps"
)

// Port is an interface whose packets a function gets.
type Port struct {
	// Interface is its name, when it was opened.
	Interface string
	// Ifindex is the kernel's number for it.
	Ifindex int
	// Mode is how the program is attached: native or generic. Auto where it is another's, or was there before.
	Mode bpf.Mode
	// Why says in a sentence why it is that mode.
	Why string
	// MultiBuffer tells whether packets may lie in several buffers.
	MultiBuffer bool

	sockets   []*Socket
	mu        sync.Mutex
	watch     *watch
	program   link.Link
	pinned    bool // the program: it stays
	table     *ebpf.Map
	ours      bool      // the table
	unclaimed *ebpf.Map // counts what no socket was there for; nil with another's program
}

// Open binds a socket to each queue, and has the interface's packets redirected to them. What it has done
// it takes back where it fails: [maps.ErrNotFound] where there is no such interface, [maps.ErrExists] where
// another socket has the queue, or another XDP program the interface, [bpf.ErrNotSupported] where kernel or
// driver lack what was asked for, [bpf.ErrPermission].
func Open(ctx context.Context, c Config) (_ *Port, err error) {
	p := &Port{Interface: c.Interface}
	defer func() {
		if err != nil {
			err = fmt.Errorf("open function on %s: %w", c.Interface, errors.Join(err, p.Close()))
		}
	}()
	if c, err = c.validate(); err != nil {
		return nil, err
	}
	ns, err := namespace(c.NetNS)
	if err != nil {
		return nil, explain(err)
	}
	defer ns.Close()
	if err := ns.Do(func() error { return p.open(ctx, c) }); err != nil {
		return nil, err
	}
	return p, nil
}

func namespace(path string) (*netns.Handle, error) {
	if path == "" {
		return netns.Current()
	}
	return netns.FromPath(path)
}

// open opens it in the thread's network namespace.
func (p *Port) open(ctx context.Context, c Config) error {
	dev, err := netlink.LinkByName(c.Interface)
	if missing := (netlink.LinkNotFoundError{}); errors.As(err, &missing) {
		return fmt.Errorf("interface %s: %w", c.Interface, maps.ErrNotFound)
	}
	if err != nil {
		return fmt.Errorf("look up interface %s: %w", c.Interface, explain(err))
	}
	c = c.fit(dev.Attrs().MTU)
	p.Ifindex, p.MultiBuffer = dev.Attrs().Index, c.MultiBuffer
	if p.watch, err = newWatch(); err != nil {
		return err
	}
	if err := p.bind(ctx, c, dev); err != nil {
		return err
	}
	p.watch.start(p.sockets)
	last := slices.MaxFunc(p.sockets, func(a, b *Socket) int { return a.queue - b.queue })
	there, err := p.adopt(c, last.queue+1)
	if err != nil {
		return err
	}
	if !there {
		err = p.prepare(c, last.queue+1)
	}
	if err == nil {
		err = p.publish()
	}
	if err == nil {
		err = ctx.Err()
	}
	switch {
	case err != nil:
		return err
	case there:
		p.pinned = true
		return nil
	case c.Map != nil:
		p.Why = "the program is another's"
		return nil
	}
	return p.attachNew(c, dev)
}

// prepare makes the maps of the program, or takes the caller's.
func (p *Port) prepare(c Config, queues int) (err error) {
	if p.table = c.Map; p.table != nil {
		return nil
	}
	p.ours = true
	if p.table, err = newMap(queues); err != nil {
		return err
	}
	p.unclaimed, err = newCount()
	return err
}

// bind makes the sockets. Nothing comes in yet.
func (p *Port) bind(ctx context.Context, c Config, dev netlink.Link) error {
	queues, all := c.Queues, len(c.Queues) == 0
	if all {
		// Of those that were made some may not be in use, and only binding tells.
		queues = make([]int, max(dev.Attrs().NumRxQueues, 1))
		for i := range queues {
			queues[i] = i
		}
	}
	for _, q := range queues {
		if err := ctx.Err(); err != nil {
			return err
		}
		s, err := newSocket(c)
		if err != nil {
			return err
		}
		err = bindQueue(ctx, s, c, p.Ifindex, q)
		if err == nil {
			p.sockets = append(p.sockets, s)
			continue
		}
		err = errors.Join(err, s.close())
		if all && q > 0 && errors.Is(err, unix.EINVAL) {
			break
		}
		return err
	}
	return nil
}

func bindQueue(ctx context.Context, s *Socket, c Config, ifindex, queue int) error {
	flags := uint16(unix.XDP_USE_NEED_WAKEUP | unix.XDP_COPY)
	if c.ZeroCopy {
		flags = unix.XDP_USE_NEED_WAKEUP | unix.XDP_ZEROCOPY
	}
	if !c.MultiBuffer {
		return explainBind(bindSoon(ctx, s, ifindex, queue, flags), c, queue)
	}
	err := bindSoon(ctx, s, ifindex, queue, flags|unix.XDP_USE_SG)
	if errors.Is(err, unix.EINVAL) && bindSoon(ctx, s, ifindex, queue, flags) == nil {
		return fmt.Errorf("bind queue %d: packets of several buffers (XDP_USE_SG) take kernel 6.6: %w", queue, bpf.ErrNotSupported)
	}
	return explainBind(err, c, queue)
}

const (
	releaseTimeout  = time.Second
	releaseInterval = time.Millisecond
)

// bindSoon binds, and waits for a queue that another socket has, or had: the kernel gives it back in a work
// queue, some time after the socket was closed (seen on 6.18), and a function that was killed comes again
// sooner than that.
func bindSoon(ctx context.Context, s *Socket, ifindex, queue int, flags uint16) error {
	deadline := time.NewTimer(releaseTimeout)
	defer deadline.Stop()
	tick := time.NewTicker(releaseInterval)
	defer tick.Stop()
	for {
		err := s.bind(ifindex, queue, flags)
		if !errors.Is(err, unix.EBUSY) {
			return err
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			return err
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
	}
}

func explainBind(err error, c Config, queue int) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EOPNOTSUPP) && c.ZeroCopy:
		return fmt.Errorf("bind queue %d: the driver has no zero copy: %w: %w", queue, bpf.ErrNotSupported, err)
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("bind queue %d: there is no such queue: %w: %w", queue, maps.ErrInvalid, err)
	}
	return fmt.Errorf("bind queue %d: %w", queue, explain(err))
}

// publish puts the sockets into the map that the program redirects by.
func (p *Port) publish() error {
	for _, s := range p.sockets {
		err := s.control(func(fd int) error { return p.table.Update(uint32(s.queue), uint32(fd), ebpf.UpdateAny) })
		if err != nil {
			return fmt.Errorf("put socket of queue %d into map: %w", s.queue, explain(err))
		}
	}
	return nil
}

// Sockets are those of the queues, in the order of Config.Queues.
func (p *Port) Sockets() []*Socket { return slices.Clone(p.sockets) }

// Close takes the program off, unless it is pinned, closes the sockets and wakes who waits for them, with [net.ErrClosed]. It
// may be called again, and while they are in use. Frames that the caller has are memory still, but of
// nothing.
func (p *Port) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	if p.watch != nil {
		errs = append(errs, p.watch.close())
		p.watch = nil
	}
	if p.program != nil {
		if !p.pinned {
			errs = append(errs, p.program.Detach())
		}
		errs = append(errs, p.program.Close())
		p.program = nil
	}
	for _, s := range p.sockets {
		if err := s.close(); err != nil && !errors.Is(err, os.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if p.ours {
		errs = append(errs, p.table.Close())
		p.ours = false
	}
	errs = append(errs, p.unclaimed.Close()) // of a nil map: nothing
	p.unclaimed = nil
	return errors.Join(errs...)
}
