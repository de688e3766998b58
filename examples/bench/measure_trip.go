// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// trips measures how long a byte takes there and back by TCP, with both ends on one CPU, and each on its
// own. That makes a difference of ten times where a CPU goes to sleep meanwhile.
func trips(ctx context.Context, p *path, c cpus, long time.Duration) ([]float64, error) {
	var all []float64
	for _, server := range []int{c[0], c[1]} {
		took, err := trip(ctx, p, c[0], server, long)
		if err != nil {
			return nil, err
		}
		slices.Sort(took)
		all = append(all, quantile(took, 0.5), quantile(took, 0.99))
	}
	return all, nil
}

// quantile of sorted durations, in microseconds.
func quantile(took []time.Duration, q float64) float64 {
	return float64(took[int(q*float64(len(took)-1))]) / float64(time.Microsecond)
}

func trip(ctx context.Context, p *path, client, server int, long time.Duration) (took []time.Duration, err error) {
	conn, err := connected(p)
	if err != nil {
		return nil, err
	}
	defer conn.close()
	took = make([]time.Duration, 0, min(long/time.Microsecond, 1<<20))
	var warm atomic.Bool
	err = together(ctx, func(ctx context.Context) error {
		if err := pass(ctx, long/4); err != nil {
			return err
		}
		warm.Store(true)
		return pass(ctx, long)
	},
		thread{server, func(*atomic.Bool) error { return echo(conn.server) }},
		thread{client, func(stop *atomic.Bool) error {
			defer unix.Shutdown(conn.client, unix.SHUT_RDWR)
			b := make([]byte, 1)
			for !stop.Load() || len(took) == 0 { // however short the time is: one
				start := time.Now()
				if err := exchange(conn.client, b); err != nil {
					return err
				}
				if d := time.Since(start); warm.Load() {
					took = append(took, d)
				} else if stop.Load() {
					return ctx.Err()
				}
			}
			return nil
		}})
	return took, err
}

func exchange(fd int, b []byte) error {
	if err := again(func() error {
		_, err := unix.Write(fd, b)
		return err
	}); err != nil {
		return err
	}
	return full(fd, b)
}

// echo sends every byte back, to the end.
func echo(fd int) error {
	b := make([]byte, 1)
	for {
		switch err := full(fd, b); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if err := again(func() error {
			_, err := unix.Write(fd, b)
			return err
		}); err != nil {
			return err
		}
	}
}
