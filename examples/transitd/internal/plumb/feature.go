// SPDX-License-Identifier: Apache-2.0

package plumb

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// feature does one of the commands that the kernel takes with a number, in the namespace of the thread.
func feature(name string, command, value uint32) (uint32, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	data := [2]uint32{command, value}
	var request struct { // struct ifreq
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}
	copy(request.name[:unix.IFNAMSIZ-1], name)
	request.data = unsafe.Pointer(&data)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
	if errno != 0 {
		return 0, fmt.Errorf("ethtool %#x of %s: %w", command, name, errno)
	}
	return data[1], nil
}
