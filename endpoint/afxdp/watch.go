// SPDX-License-Identifier: Apache-2.0

package afxdp

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/maps"
)

// watch tells sockets that their interface is gone. The kernel does not wake who waits on them then (seen
// on 6.18): a socket that is bound to nothing has no events. It sends word of interfaces by netlink.
type watch struct {
	file *os.File
	raw  syscall.RawConn
	done sync.WaitGroup
}

// newWatch listens for news of interfaces in the thread's network namespace.
func newWatch() (*watch, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("watch interfaces: %w", err)
	}
	w := &watch{file: os.NewFile(uintptr(fd), "netlink")}
	if w.raw, err = w.file.SyscallConn(); err == nil {
		err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK})
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("watch interfaces: %w", err), w.file.Close())
	}
	return w, nil
}

// start looks after sockets until close, in a goroutine of its own. That keeps them also from being collected:
// a Port that was forgotten leaks, but its memory is nobody else's while the kernel writes there.
func (w *watch) start(sockets []*Socket) {
	w.done.Go(func() {
		for {
			for _, s := range sockets {
				s.look()
			}
			if w.wait() != nil {
				return
			}
		}
	})
}

// wait waits for news. What they are the sockets know best, also if some were lost.
func (w *watch) wait() error {
	var b [4096]byte
	return w.raw.Read(func(fd uintptr) (some bool) {
		for {
			_, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_DONTWAIT)
			switch {
			case err == nil, errors.Is(err, unix.ENOBUFS): // some were lost
				some = true
			case !errors.Is(err, unix.EINTR):
				return some
			}
		}
	})
}

func (w *watch) close() error {
	err := w.file.Close()
	w.done.Wait()
	return err
}

// look sees whether the socket is still bound, and wakes who waits for it if not.
func (s *Socket) look() {
	err := s.control(func(fd int) error { return startReceiving(uintptr(fd)) })
	if !errors.Is(err, unix.ENXIO) {
		return
	}
	s.mu.Lock()
	s.gone = fmt.Errorf("interface of queue %d is gone: %w", s.queue, maps.ErrNotFound)
	s.mu.Unlock()
	_ = s.file.SetDeadline(time.Unix(1, 0)) // which wakes them
}
