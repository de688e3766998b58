// SPDX-License-Identifier: Apache-2.0

package afxdp

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// register gives the kernel the memory for packets.
func register(fd int, u *umem) error {
	r := unix.XDPUmemReg{
		Addr: uint64(uintptr(unsafe.Pointer(&u.mem[0]))),
		Len:  uint64(len(u.mem)),
		Size: u.size(),
	}
	_, _, errno := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_XDP, unix.XDP_UMEM_REG,
		uintptr(unsafe.Pointer(&r)), unsafe.Sizeof(r), 0)
	return nonzero(errno)
}

// forget parts the memory from the pages that the kernel has pinned: a NIC goes on writing to them until a
// work queue gets to tell it, after the socket is closed. What Go makes of the memory has other pages.
func (u *umem) forget() error {
	err := unix.Madvise(u.mem, unix.MADV_DONTNEED)
	if errors.Is(err, unix.EINVAL) { // locked, by mlockall
		err = unix.Madvise(u.mem, unix.MADV_DONTNEED_LOCKED)
	}
	if err != nil {
		return fmt.Errorf("let go of memory for packets: %w", err)
	}
	return nil
}

// offsets tells where in the rings' memory what is.
func offsets(fd int) (at unix.XDPMmapOffsets, err error) {
	return at, getsockopt(fd, unix.XDP_MMAP_OFFSETS, unsafe.Pointer(&at), unsafe.Sizeof(at))
}

// statistics are what the kernel has counted for the socket.
func statistics(fd int) (st unix.XDPStatistics, err error) {
	return st, getsockopt(fd, unix.XDP_STATISTICS, unsafe.Pointer(&st), unsafe.Sizeof(st))
}

func getsockopt(fd, option int, value unsafe.Pointer, size uintptr) error {
	length := uint32(size)
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_XDP, uintptr(option),
		uintptr(value), uintptr(unsafe.Pointer(&length)), 0)
	return nonzero(errno)
}

// mapRing maps a ring of the socket's.
func mapRing[T entry](fd int, which int64, at unix.XDPRingOffset, size uint32) (*ring[T], error) {
	var e T
	length := at.Desc + uint64(size)*uint64(unsafe.Sizeof(e))
	memory, err := unix.Mmap(fd, which, int(length), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return nil, fmt.Errorf("map ring of %d entries: %w", size, explain(err))
	}
	r, err := layout[T](memory, at, size)
	if err != nil {
		_ = unix.Munmap(memory)
		return nil, err
	}
	return r, nil
}

// unmap unmaps a ring, if there is one.
func unmap[T entry](r **ring[T]) error {
	if *r == nil {
		return nil
	}
	memory := (*r).memory
	*r = nil
	if err := unix.Munmap(memory); err != nil {
		return fmt.Errorf("unmap ring: %w", err)
	}
	return nil
}

// startSending has the kernel look into the tx ring. In copy mode it sends what it finds within the call.
func startSending(fd uintptr) error {
	_, _, errno := unix.Syscall6(unix.SYS_SENDTO, fd, 0, 0, unix.MSG_DONTWAIT, 0, 0)
	return nonzero(errno)
}

// startReceiving has the kernel look into the fill ring.
func startReceiving(fd uintptr) error {
	_, _, errno := unix.Syscall6(unix.SYS_RECVFROM, fd, 0, 0, unix.MSG_DONTWAIT, 0, 0)
	return nonzero(errno)
}

// nonzero makes an error of a number, without allocating.
func nonzero(errno unix.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}
