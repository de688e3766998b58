// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// chunk is what is written and read at once.
const chunk = 128 << 10

// streams measures TCP: what receivers read. One stream has a CPU at each end; of several, the kernel sees
// itself where they run.
func streams(n int) func(context.Context, *path, cpus, time.Duration) ([]float64, error) {
	return func(ctx context.Context, p *path, c cpus, long time.Duration) ([]float64, error) {
		sender, receiver := c[0], c[1]
		if n > 1 {
			sender, receiver = anyCPU, anyCPU
		}
		var received atomic.Uint64
		var threads []thread
		for range n {
			conn, err := connected(p)
			if err != nil {
				return nil, err
			}
			defer conn.close()
			threads = append(threads,
				thread{sender, func(stop *atomic.Bool) error { return send(conn.client, stop) }},
				thread{receiver, func(*atomic.Bool) error { return receive(conn.server, &received) }})
		}
		var bits float64
		err := together(ctx, func(ctx context.Context) (err error) {
			bits, err = rate(ctx, long, func() (uint64, error) { return received.Load() * 8, nil })
			return err
		}, threads...)
		return []float64{bits / 1e9}, err
	}
}

// send writes until it is told to stop, and then says that it was all.
func send(fd int, stop *atomic.Bool) error {
	defer unix.Shutdown(fd, unix.SHUT_RDWR)
	b := make([]byte, chunk)
	for !stop.Load() {
		if _, err := unix.Write(fd, b); err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
	}
	return nil
}

// receive reads to the end.
func receive(fd int, count *atomic.Uint64) error {
	b := make([]byte, chunk)
	for {
		n, err := unix.Read(fd, b)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return err
		case n == 0:
			return nil
		}
		count.Add(uint64(n))
	}
}

// full reads into all of b.
func full(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := unix.Read(fd, b)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return err
		case n == 0:
			return io.EOF
		}
		b = b[n:]
	}
	return nil
}
