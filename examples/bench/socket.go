// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/mizar-go/mizar/examples/internal/lab"
	"golang.org/x/sys/unix"
)

// Sockets here block, a while only: who waits on them is a thread of its own, without the runtime's poller
// between. Calls that took too long give EAGAIN.
const lookTimeout = 50 * time.Millisecond // of who has to see in between whether to stop; of others: patience

// listen opens a listening TCP socket at a port that is free.
func listen(ns *lab.Namespace, at netip.Addr) (fd int, to *unix.SockaddrInet4, err error) {
	err = ns.Do(func() (err error) {
		if fd, err = open(unix.SOCK_STREAM, lookTimeout); err != nil {
			return err
		}
		to, err = bind(fd, at)
		if err == nil {
			err = unix.Listen(fd, 1024)
		}
		return closing(fd, err)
	})
	if err != nil {
		return -1, nil, fmt.Errorf("listen at %s: %w", at, err)
	}
	return fd, to, nil
}

// connect opens a TCP connection.
func connect(ns *lab.Namespace, to *unix.SockaddrInet4) (fd int, err error) {
	err = ns.Do(func() (err error) {
		if fd, err = open(unix.SOCK_STREAM, patience); err != nil {
			return err
		}
		if err = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err == nil {
			err = again(func() error { return unix.Connect(fd, to) })
		}
		return closing(fd, err)
	})
	if err != nil {
		return -1, fmt.Errorf("connect to %s: %w", netip.AddrFrom4(to.Addr), err)
	}
	return fd, nil
}

// accept takes a connection that is there, or comes in time.
func accept(listener int) (fd int, err error) {
	err = again(func() error {
		fd, _, err = unix.Accept4(listener, unix.SOCK_CLOEXEC)
		return err
	})
	if err != nil {
		return -1, fmt.Errorf("accept: %w", err)
	}
	err = wait(fd, patience)
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	return fd, closing(fd, err)
}

// pair is a connection: the client's end and the server's.
type pair struct{ client, server int }

func connected(p *path) (c pair, err error) {
	listener, to, err := listen(p.server, workloadAddr(1).Addr())
	if err != nil {
		return c, err
	}
	defer unix.Close(listener)
	if c.client, err = connect(p.client, to); err != nil {
		return c, err
	}
	c.server, err = accept(listener)
	return c, closing(c.client, err)
}

func (c pair) close() {
	unix.Close(c.client)
	unix.Close(c.server)
}

func open(kind int, timeout time.Duration) (fd int, err error) {
	if fd, err = unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC, 0); err != nil {
		return -1, err
	}
	return fd, closing(fd, wait(fd, timeout))
}

// wait sets how long calls take at most.
func wait(fd int, timeout time.Duration) error {
	t := unix.NsecToTimeval(timeout.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &t); err != nil {
		return err
	}
	return unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &t)
}

// bind takes a free port, and gives the address with it.
func bind(fd int, at netip.Addr) (*unix.SockaddrInet4, error) {
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: at.As4()}); err != nil {
		return nil, err
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return nil, err
	}
	return name.(*unix.SockaddrInet4), nil
}

// closing closes a descriptor if there was an error.
func closing(fd int, err error) error {
	if err != nil {
		unix.Close(fd)
	}
	return err
}

// again repeats what a signal cut short; the Go runtime sends some.
func again(f func() error) error {
	for {
		if err := f(); err != unix.EINTR {
			return err
		}
	}
}
