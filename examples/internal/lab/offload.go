// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// CarryXDP makes a veth port of the underlay fit for a host that runs XDP at the other end.
//
// What the host's XDP sends arrives only where the port polls (NAPI), which a veth does with GRO on. And
// what the port sends has to be whole: XDP would see a checksum that is still to be written, and a
// segmented packet as one.
func (n *Namespace) CarryXDP(port string) error {
	return n.Do(func() error { return carryXDP(port) })
}

func carryXDP(port string) error {
	for _, f := range []struct {
		name    string
		command uint32
		on      uint32
	}{
		{"GRO", unix.ETHTOOL_SGRO, 1},
		{"TSO", unix.ETHTOOL_STSO, 0},
		{"tx checksum", unix.ETHTOOL_STXCSUM, 0},
	} {
		if err := ethtool(port, f.command, f.on); err != nil {
			return fmt.Errorf("set %s of %s: %w", f.name, port, err)
		}
	}
	return nil
}

// ethtool sets one of the settings that the kernel takes as a command and a number.
func ethtool(name string, command, value uint32) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
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
		return errno
	}
	return nil
}
