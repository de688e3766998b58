// SPDX-License-Identifier: Apache-2.0

package netns

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

var (
	// ErrNotNetNS: what was given is there, but is no network namespace.
	ErrNotNetNS = errors.New("not a network namespace")
	// ErrClosed: the handle was closed before.
	ErrClosed = errors.New("network namespace handle is closed")
)

// threadNS is the network namespace of the calling thread. /proc/self is that of the first thread.
const threadNS = "/proc/thread-self/ns/net"

// Handle is a network namespace. It is safe for concurrent use, but for Close.
type Handle struct {
	file *os.File
}

// Current is the namespace that the caller runs in.
func Current() (*Handle, error) {
	return FromPath(threadNS)
}

// FromPath is the namespace at a path: /run/netns/NAME, /proc/PID/ns/net.
func FromPath(path string) (*Handle, error) {
	// Not to hang on a pipe, should the path name one.
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open network namespace %s: %w", path, err)
	}
	return own(fd, path)
}

// FromPID is the namespace of a process, that of its first thread.
func FromPID(pid int) (*Handle, error) {
	if pid <= 0 {
		return nil, fmt.Errorf("open network namespace of process %d: %w", pid, unix.ESRCH)
	}
	return FromPath(fmt.Sprintf("/proc/%d/ns/net", pid))
}

// FromFD is the namespace behind a descriptor, which stays the caller's to close.
func FromFD(fd int) (*Handle, error) {
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open network namespace of descriptor %d: %w", fd, err)
	}
	return own(dup, fmt.Sprintf("descriptor %d", fd))
}

// own takes over fd, and closes it if it is no network namespace.
func own(fd int, name string) (*Handle, error) {
	if kind, err := unix.IoctlRetInt(fd, unix.NS_GET_NSTYPE); err != nil || kind != unix.CLONE_NEWNET {
		return nil, errors.Join(fmt.Errorf("open network namespace %s: %w", name, ErrNotNetNS), unix.Close(fd))
	}
	return &Handle{file: os.NewFile(uintptr(fd), name)}, nil
}

// FD is the descriptor, for as long as the handle is not closed; -1 after that.
func (h *Handle) FD() int {
	if h == nil || h.file == nil {
		return -1
	}
	return int(h.file.Fd())
}

// Close lets go of the namespace. It may be called again.
func (h *Handle) Close() error {
	if h == nil || h.file == nil {
		return nil
	}
	file := h.file
	h.file = nil
	return file.Close()
}

// Same tells whether both are one namespace.
func (h *Handle) Same(other *Handle) (bool, error) {
	a, err := h.inode()
	if err != nil {
		return false, err
	}
	b, err := other.inode()
	return err == nil && a == b, err
}

// inode tells namespaces apart for as long as they live.
type inode struct{ dev, ino uint64 }

func (h *Handle) inode() (inode, error) {
	fd := h.FD()
	if fd < 0 {
		return inode{}, ErrClosed
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return inode{}, fmt.Errorf("stat network namespace: %w", err)
	}
	return inode{uint64(st.Dev), st.Ino}, nil
}

// Cookie is the kernel's number for the namespace, never used twice while the host is up.
func (h *Handle) Cookie() (cookie uint64, err error) {
	err = h.Do(func() error {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		cookie, err = unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("read cookie of network namespace: %w", err)
	}
	return cookie, nil
}
