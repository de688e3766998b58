// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/mizar-go/mizar/examples/internal/lab"
	"golang.org/x/sys/unix"
)

const patience = 10 * time.Second // for what is certain to come

// await asks until the answer is yes.
func await(ctx context.Context, what string, f func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := f(); ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, ctx.Err())
		}
	}
}

// inbox is a UDP socket that counts what came.
type inbox struct {
	fd             int
	packets, bytes uint64 // payload
}

// listen takes datagrams of IPv4 and IPv6 at a port, and holds as many as the shows send.
func listen(n *lab.Namespace, port uint16) (*inbox, error) {
	in := &inbox{fd: -1}
	err := n.Do(func() (err error) {
		if in.fd, err = unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		if err := unix.SetsockoptInt(in.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 32<<20); err != nil {
			return err
		}
		return unix.Bind(in.fd, &unix.SockaddrInet6{Port: int(port)})
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen at port %d of %s: %w", port, n.Name, err), in.close())
	}
	return in, nil
}

// count reads what came since the last time.
func (in *inbox) count() error {
	for b := make([]byte, 1); ; {
		n, _, err := unix.Recvfrom(in.fd, b, unix.MSG_DONTWAIT|unix.MSG_TRUNC)
		switch err {
		case nil:
			in.packets++
			in.bytes += uint64(n)
		case unix.EAGAIN:
			return nil
		case unix.EINTR:
		default:
			return fmt.Errorf("read datagrams: %w", err)
		}
	}
}

func (in *inbox) close() error {
	if in.fd < 0 {
		return nil
	}
	return unix.Close(in.fd)
}

// outbox is a UDP socket that sends to one address.
type outbox struct {
	conn *net.UDPConn
	load []byte // begins with the number of the datagram
	sent uint64
}

func dial(n *lab.Namespace, to netip.Addr, port uint16, size int) (*outbox, error) {
	out := &outbox{load: make([]byte, size)}
	err := n.Do(func() (err error) {
		out.conn, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, port)))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("dial %v from %s: %w", to, n.Name, err)
	}
	return out, nil
}

func (o *outbox) send(count int) error {
	for range count {
		binary.BigEndian.PutUint64(o.load, o.sent)
		if _, err := o.conn.Write(o.load); err != nil {
			return err
		}
		o.sent++
	}
	return nil
}

func (o *outbox) close() error { return o.conn.Close() }

// stream is an outbox that sends by itself.
type stream struct {
	stop context.CancelFunc
	done chan struct{}

	// To be read when it has ended.
	sent uint64
	at   []time.Duration // when, since the start, each was sent
	took time.Duration   // from the start to after the last
	err  error
}

// atOnce is what every queue on the way has room for.
const atOnce = 32

// start sends so many datagrams a second, evenly, until it is told to end.
func (o *outbox) start(ctx context.Context, rate float64) *stream {
	ctx, cancel := context.WithCancel(ctx)
	s := &stream{stop: cancel, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for begin := time.Now(); s.err == nil; {
			now := time.Since(begin)
			n := max(0, min(int(now.Seconds()*rate)-int(s.sent), atOnce))
			s.err = o.send(n)
			s.sent += uint64(n)
			s.at = append(s.at, slices.Repeat([]time.Duration{now}, n)...)
			s.took = time.Since(begin)
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	}()
	return s
}

// end stops it, and waits until it has. More than once is fine.
func (s *stream) end() error {
	s.stop()
	<-s.done
	return s.err
}

// flow is datagrams of one kind, and what should become of them.
type flow struct {
	name   string
	from   *workload
	to     netip.Addr
	port   uint16
	size   int    // payload; zero: 100 bytes
	frames int    // that one datagram makes; zero: one
	lost   string // why they should all be dropped; empty: they should all arrive
}

// try sends count datagrams to b1, and follows each to where it arrived or was counted as dropped.
func (w *world) try(ctx context.Context, f flow, count int) (result string, err error) {
	size, frames := f.size, max(f.frames, 1)
	if size == 0 {
		size = 100
	}
	in, err := listen(w.b1.Namespace, f.port)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, in.close()) }()
	out, err := dial(f.from.Namespace, f.to, f.port, size)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, out.close()) }()
	before, err := w.dropped(ctx, f.lost)
	if err != nil {
		return "", err
	}
	if err := out.send(count); err != nil {
		return "", err
	}
	var lost uint64
	if err := await(ctx, fmt.Sprintf("%d datagrams of %s", count, f.name), func() (bool, error) {
		after, err := w.dropped(ctx, f.lost)
		lost = after - before
		return in.packets*uint64(frames)+lost == uint64(count*frames), errors.Join(err, in.count())
	}); err != nil {
		return "", fmt.Errorf("%w: %d arrived, %d frames dropped as %q", err, in.packets, lost, f.lost)
	}
	if (f.lost == "") != (lost == 0) || f.lost != "" && in.packets != 0 {
		return "", fmt.Errorf("%s: %d of %d arrived, %d frames dropped as %q", f.name, in.packets, count, lost, f.lost)
	}
	result = fmt.Sprintf("%d of %d arrived", in.packets, count)
	if lost > 0 {
		result += fmt.Sprintf(", %s × %d", f.lost, lost)
	}
	return result, nil
}

// dropped is how many packets both hosts have dropped for a reason, by its name; of no name none.
func (w *world) dropped(ctx context.Context, name string) (packets uint64, err error) {
	for _, h := range []*host{w.a, w.b} {
		for c, err := range h.dp.Stats.Counters(ctx) {
			if err != nil {
				return 0, err
			}
			if c.Name == name {
				packets += c.Packets
			}
		}
	}
	return packets, nil
}
