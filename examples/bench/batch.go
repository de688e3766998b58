// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	batchSize = 64
	datagram  = 64 // bytes of payload
)

// batch is datagrams that one call sends or receives.
type batch struct {
	messages [batchSize]message
	vectors  [batchSize]unix.Iovec
	bytes    [batchSize][datagram]byte
}

// message is struct mmsghdr.
type message struct {
	header unix.Msghdr
	length uint32
}

func newBatch() *batch {
	b := new(batch)
	for i := range b.messages {
		b.vectors[i].Base = &b.bytes[i][0]
		b.vectors[i].SetLen(datagram)
		b.messages[i].header.Iov = &b.vectors[i]
		b.messages[i].header.SetIovlen(1)
	}
	return b
}

// send gives how many were sent. None is no error where only memory is short, as in a full queue.
func (b *batch) send(fd int) (int, error) {
	n, err := b.call(unix.SYS_SENDMMSG, fd, 0)
	if errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.EAGAIN) {
		return 0, nil
	}
	return n, err
}

// receive gives how many have come, and waits for one only.
func (b *batch) receive(fd int) (int, error) {
	return b.call(unix.SYS_RECVMMSG, fd, unix.MSG_WAITFORONE)
}

func (b *batch) call(trap uintptr, fd, flags int) (n int, err error) {
	err = again(func() error {
		r, _, errno := unix.Syscall6(trap, uintptr(fd), uintptr(unsafe.Pointer(&b.messages[0])), batchSize, uintptr(flags), 0, 0)
		if errno != 0 {
			return errno
		}
		n = int(r)
		return nil
	})
	runtime.KeepAlive(b)
	return n, err
}
