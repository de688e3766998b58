// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/mizar-go/mizar/examples/internal/lab"
	"golang.org/x/sys/unix"
)

// connects measures connections that are opened, carry a byte to the client, and are closed, one after the
// other and with both ends on one CPU. Those count of which the byte came.
func connects(ctx context.Context, p *path, c cpus, long time.Duration) ([]float64, error) {
	listener, to, err := listen(p.server, workloadAddr(1).Addr())
	if err != nil {
		return nil, err
	}
	defer unix.Close(listener)
	var count atomic.Uint64
	var each float64
	err = together(ctx, func(ctx context.Context) error {
		each, err = rate(ctx, long, func() (uint64, error) { return count.Load(), nil })
		return err
	},
		thread{c[0], func(*atomic.Bool) error { return greet(listener) }},
		thread{c[0], func(stop *atomic.Bool) error {
			defer unix.Shutdown(listener, unix.SHUT_RD) // ends the other thread, which has to serve to the last
			return within(p.client, func() error {
				for !stop.Load() {
					if err := visit(to); err != nil {
						return err
					}
					count.Add(1)
				}
				return nil
			})
		}})
	return []float64{each / 1e3}, err
}

// greet answers whoever comes, until the listener is shut down.
func greet(listener int) error {
	for {
		fd, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
		switch {
		case errors.Is(err, unix.EINVAL):
			return nil
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR), errors.Is(err, unix.ECONNABORTED):
			continue
		case err != nil:
			return err
		}
		_, err = unix.Write(fd, []byte{0})
		unix.Close(fd)
		if err != nil {
			return err
		}
	}
}

// visit closes by a reset: connections that wait for their end would use up the ports.
func visit(to *unix.SockaddrInet4) error {
	fd, err := open(unix.SOCK_STREAM, patience)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		return err
	}
	if err := again(func() error { return unix.Connect(fd, to) }); err != nil {
		return err
	}
	return full(fd, make([]byte, 1))
}

// within has this thread, which ends with its goroutine, run f in a namespace.
func within(ns *lab.Namespace, f func() error) error {
	fd, err := unix.Open(ns.Path(), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	err = unix.Setns(fd, unix.CLONE_NEWNET)
	unix.Close(fd)
	if err != nil {
		return err
	}
	return f()
}
