// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/internal/netns"
)

// Pinger sends echo requests and counts the answers, until it is stopped or done. It ends with the test.
type Pinger struct {
	cfg     PingConfig
	to      *net.IPAddr
	conn    *net.IPConn
	echo    echo
	answers chan answer
	stop    chan struct{}
	done    chan struct{}
	once    sync.Once
	readers sync.WaitGroup

	// Of run, until done.
	result  PingResult
	pending map[uint64]time.Time // number of a request → when it was sent
}

// StartPing begins to ping in the background.
func StartPing(t testing.TB, ns *netns.Handle, cfg PingConfig) *Pinger {
	t.Helper()
	Root(t)
	if cfg.Timeout <= 0 {
		cfg.Timeout = time.Second
	}
	p := &Pinger{
		cfg:     cfg,
		echo:    echo{v6: cfg.Dst.Is6(), id: uint16(rand.Uint32()), token: rand.Uint64(), size: max(cfg.Size, pingStamp)},
		answers: make(chan answer),
		stop:    make(chan struct{}),
		done:    make(chan struct{}),
		pending: make(map[uint64]time.Time),
	}
	In(t, ns, p.open)
	p.readers.Go(p.read)
	go p.run()
	t.Cleanup(func() { p.Stop() })
	return p
}

// Wait returns when all requests are answered or lost. It needs a Count.
func (p *Pinger) Wait() PingResult {
	<-p.done
	return p.result
}

// Stop sends no more, waits for what is under way, and returns the result, also the second time.
func (p *Pinger) Stop() PingResult {
	p.once.Do(func() { close(p.stop) })
	return p.Wait()
}

// open makes the raw socket, in the namespace of the calling thread.
func (p *Pinger) open() error {
	network, unspecified := "ip4:1", "0.0.0.0"
	if p.echo.v6 {
		network, unspecified = "ip6:58", "::"
	}
	from, err := address(p.cfg.Src)
	if err != nil {
		return err
	}
	if from == nil {
		from = &net.IPAddr{IP: net.ParseIP(unspecified)}
	}
	if p.to, err = address(p.cfg.Dst); err != nil {
		return err
	}
	if p.to == nil {
		return fmt.Errorf("ping: no destination: %w", unix.EINVAL)
	}
	if p.conn, err = net.ListenIP(network, from); err != nil {
		return fmt.Errorf("ping %s: %w", p.cfg.Dst, err)
	}
	// The socket gets all ICMP of its namespace, and a busy machine may leave us without a CPU for a while:
	// what overflows would look lost on the way.
	if err := p.conn.SetReadBuffer(4 << 20); err != nil {
		return errors.Join(fmt.Errorf("ping %s: %w", p.cfg.Dst, err), p.conn.Close())
	}
	if err := p.fragments(); err != nil {
		return errors.Join(fmt.Errorf("ping %s: %w", p.cfg.Dst, err), p.conn.Close())
	}
	return nil
}

// address is what package net takes. A zone becomes a number here: later, names would be looked up in
// another namespace.
func address(a netip.Addr) (*net.IPAddr, error) {
	if !a.IsValid() {
		return nil, nil
	}
	zone := a.Zone()
	if zone != "" {
		dev, err := net.InterfaceByName(zone)
		if err != nil {
			return nil, fmt.Errorf("zone of %s: %w", a, err)
		}
		zone = strconv.Itoa(dev.Index)
	}
	return &net.IPAddr{IP: a.AsSlice(), Zone: zone}, nil
}

func (p *Pinger) fragments() error {
	if !p.cfg.DontFragment {
		return nil
	}
	raw, err := p.conn.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		if p.echo.v6 {
			set = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_DO)
		} else {
			set = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO)
		}
	})
	return errors.Join(err, set)
}

// read hands answers to run, until the socket is closed.
func (p *Pinger) read() {
	buffer := make([]byte, 1<<16)
	for {
		n, from, err := p.conn.ReadFromIP(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // an ICMP error about a request, which comes as a message too
		}
		now := time.Now()
		addr, _ := netip.AddrFromSlice(from.IP)
		a, ok := p.echo.parse(buffer[:n], addr.Unmap())
		if !ok {
			continue
		}
		a.at = now
		select {
		case p.answers <- a:
		case <-p.done:
			return
		}
	}
}

// run sends and counts.
func (p *Pinger) run() {
	defer p.readers.Wait()
	defer p.conn.Close()
	defer close(p.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	stop, next := p.stop, time.Now()
	stopped := false
	for {
		now := time.Now()
		p.expire(now)
		more := !stopped && (p.cfg.Count == 0 || p.result.Sent < p.cfg.Count)
		if !more && len(p.pending) == 0 {
			return
		}
		if more && !now.Before(next) && (p.cfg.Interval > 0 || len(p.pending) == 0) {
			p.send()
			// What a busy machine made us miss is not made up for, and each request leaves room to look for
			// answers: else we would never get to them, nor to Stop.
			next = now.Add(p.cfg.Interval)
		}
		timer.Reset(time.Until(p.wake(more, next)))
		select {
		case a := <-p.answers:
			p.take(a)
		case <-timer.C:
		case <-stop:
			stopped, stop = true, nil
		}
	}
}

// wake is when there is something to do: a request to send, or to give up.
func (p *Pinger) wake(more bool, next time.Time) time.Time {
	var at time.Time
	if more && p.cfg.Interval > 0 {
		at = next
	}
	for _, sent := range p.pending {
		if lost := sent.Add(p.cfg.Timeout); at.IsZero() || lost.Before(at) {
			at = lost
		}
	}
	return at
}

func (p *Pinger) send() {
	n := uint64(p.result.Sent)
	p.result.Sent++
	p.pending[n] = time.Now()
	if _, err := p.conn.WriteToIP(p.echo.request(n), p.to); err != nil {
		delete(p.pending, n)
		p.result.Lost++
		p.result.Errors = append(p.result.Errors, err)
	}
}

func (p *Pinger) expire(now time.Time) {
	for n, sent := range p.pending {
		if now.Sub(sent) >= p.cfg.Timeout {
			delete(p.pending, n)
			p.result.Lost++
		}
	}
}

func (p *Pinger) take(a answer) {
	if a.err != nil {
		for n := range p.pending {
			if uint16(n) == uint16(a.number) {
				delete(p.pending, n)
				p.result.Lost++
				p.result.Errors = append(p.result.Errors, a.err)
			}
		}
		return
	}
	sent, ok := p.pending[a.number]
	if !ok {
		p.result.Duplicates++
		return
	}
	delete(p.pending, a.number)
	p.result.RTTs = append(p.result.RTTs, a.at.Sub(sent))
}
