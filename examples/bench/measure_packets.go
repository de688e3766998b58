// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// packets measures datagrams with 64 bytes in them that arrive: with one thread that sends some and then
// receives them, and with a sender and a receiver that have a CPU each.
func packets(ctx context.Context, p *path, c cpus, long time.Duration) ([]float64, error) {
	client, server, err := datagramSockets(p)
	if err != nil {
		return nil, err
	}
	defer unix.Close(client)
	defer unix.Close(server)
	one, err := inTurns(ctx, client, server, c[0], long)
	if err != nil {
		return nil, err
	}
	two, err := atOnce(ctx, client, server, c, long)
	return []float64{one / 1e3, two / 1e3}, err
}

func datagramSockets(p *path) (client, server int, err error) {
	var to *unix.SockaddrInet4
	if err := p.server.Do(func() (err error) {
		if server, err = open(unix.SOCK_DGRAM, lookTimeout); err != nil {
			return err
		}
		if err = unix.SetsockoptInt(server, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20); err == nil {
			to, err = bind(server, workloadAddr(1).Addr())
		}
		return closing(server, err)
	}); err != nil {
		return -1, -1, fmt.Errorf("receive datagrams: %w", err)
	}
	if err := p.client.Do(func() (err error) {
		if client, err = open(unix.SOCK_DGRAM, patience); err != nil {
			return err
		}
		return closing(client, unix.Connect(client, to))
	}); err != nil {
		return -1, -1, fmt.Errorf("send datagrams: %w", closing(server, err))
	}
	return client, server, nil
}

// inTurns measures the whole way on one CPU: the kernel delivers within the sender's call.
func inTurns(ctx context.Context, client, server, cpu int, long time.Duration) (each float64, err error) {
	var count atomic.Uint64
	err = together(ctx, func(ctx context.Context) error {
		each, err = rate(ctx, long, func() (uint64, error) { return count.Load(), nil })
		return err
	}, thread{cpu, func(stop *atomic.Bool) error {
		out, in := newBatch(), newBatch()
		for !stop.Load() {
			if _, err := out.send(client); err != nil {
				return err
			}
			n, err := in.receive(server)
			if err != nil && !errors.Is(err, unix.EAGAIN) {
				return err
			}
			count.Add(uint64(n))
		}
		return nil
	}})
	return each, err
}

// atOnce measures what gets through while the sender never waits.
func atOnce(ctx context.Context, client, server int, c cpus, long time.Duration) (each float64, err error) {
	var count atomic.Uint64
	err = together(ctx, func(ctx context.Context) error {
		each, err = rate(ctx, long, func() (uint64, error) { return count.Load(), nil })
		return err
	}, thread{c[0], func(stop *atomic.Bool) error {
		out := newBatch()
		for !stop.Load() {
			if _, err := out.send(client); err != nil {
				return err
			}
		}
		return nil
	}}, thread{c[1], func(stop *atomic.Bool) error {
		in := newBatch()
		for !stop.Load() {
			n, err := in.receive(server)
			if err != nil && !errors.Is(err, unix.EAGAIN) {
				return err
			}
			count.Add(uint64(n))
		}
		return nil
	}})
	return each, err
}
