// SPDX-License-Identifier: Apache-2.0

package ethtool

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Layouts of linux/ethtool.h. A variable tail follows in the same buffer.
type (
	ssetInfo struct {
		cmd, reserved uint32
		mask          uint64
		data          [1]uint32
	}
	stringsHeader  struct{ cmd, set, count uint32 }
	featuresHeader struct{ cmd, blocks uint32 }
	getBlock       struct{ available, requested, active, neverChanged uint32 }
	setBlock       struct{ valid, requested uint32 }
)

const (
	stringLength = 32 // ETH_GSTRING_LEN
	blockBits    = 32
	setFeatures  = 4 // ETH_SS_FEATURES
)

// device is a socket through which an interface is asked.
type device struct {
	fd   int
	name string
}

func open(name string) (*device, error) {
	if name == "" || len(name) >= unix.IFNAMSIZ {
		return nil, fmt.Errorf("interface name %q: %w", name, unix.EINVAL)
	}
	// Any family does; the kernel takes these calls on all of them.
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open socket for ethtool: %w", err)
	}
	return &device{fd, name}, nil
}

func (d *device) close() {
	unix.Close(d.fd)
}

// do runs one SIOCETHTOOL on a command's buffer, and returns the kernel's number.
func (d *device) do(command unsafe.Pointer) (int, error) {
	var req struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}
	copy(req.name[:], d.name)
	req.data = command
	n, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(d.fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&req)))
	runtime.KeepAlive(command)
	if errno != 0 {
		return 0, fmt.Errorf("ethtool %s: %w", d.name, errno)
	}
	return int(n), nil
}

// features are the names of the kernel's features, by number.
func (d *device) features() ([]string, error) {
	info := ssetInfo{cmd: unix.ETHTOOL_GSSET_INFO, mask: 1 << setFeatures}
	if _, err := d.do(unsafe.Pointer(&info)); err != nil {
		return nil, err
	}
	count := info.data[0]
	const header = uint32(unsafe.Sizeof(stringsHeader{}))
	buffer := make([]byte, header+count*stringLength)
	*(*stringsHeader)(unsafe.Pointer(&buffer[0])) = stringsHeader{unix.ETHTOOL_GSTRINGS, setFeatures, count}
	if _, err := d.do(unsafe.Pointer(&buffer[0])); err != nil {
		return nil, err
	}
	names := make([]string, count)
	for i := range names {
		at := header + uint32(i)*stringLength
		names[i] = unix.ByteSliceToString(buffer[at : at+stringLength])
	}
	return names, nil
}

// read is the state of count features, in blocks of 32.
func (d *device) read(count int) ([]getBlock, error) {
	blocks := (count + blockBits - 1) / blockBits
	buffer := make([]uint32, 2+4*blocks)
	*(*featuresHeader)(unsafe.Pointer(&buffer[0])) = featuresHeader{unix.ETHTOOL_GFEATURES, uint32(blocks)}
	if _, err := d.do(unsafe.Pointer(&buffer[0])); err != nil {
		return nil, err
	}
	return unsafe.Slice((*getBlock)(unsafe.Pointer(&buffer[2])), blocks), nil
}

// write requests features.
func (d *device) write(blocks []setBlock) error {
	buffer := make([]uint32, 2+2*len(blocks))
	*(*featuresHeader)(unsafe.Pointer(&buffer[0])) = featuresHeader{unix.ETHTOOL_SFEATURES, uint32(len(blocks))}
	copy(unsafe.Slice((*setBlock)(unsafe.Pointer(&buffer[2])), len(blocks)), blocks)
	// What the kernel makes of it (its return value) is read back by the caller.
	_, err := d.do(unsafe.Pointer(&buffer[0]))
	return err
}

// Driver is the name of the device's driver: veth, virtio_net, mlx5_core.
func Driver(name string) (string, error) {
	d, err := open(name)
	if err != nil {
		return "", err
	}
	defer d.close()
	info, err := unix.IoctlGetEthtoolDrvinfo(d.fd, name)
	if err != nil {
		return "", fmt.Errorf("read driver of %s: %w", name, err)
	}
	return unix.ByteSliceToString(info.Driver[:]), nil
}
