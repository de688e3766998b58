// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"fmt"

	"github.com/mizar-go/mizar/internal/netns"
)

// NetNS names the network namespace of a workload. The zero value is the data-plane's own.
type NetNS struct {
	path string
	fd   int
	pid  int
	kind namespaceKind
}

type namespaceKind uint8

const (
	ownNS namespaceKind = iota
	pathNS
	fdNS
	pidNS
)

// Path is the namespace at a path, such as /run/netns/NAME.
func Path(path string) NetNS { return NetNS{kind: pathNS, path: path} }

// FD is the namespace behind a descriptor, which stays the caller's, and open until Create returns.
func FD(fd int) NetNS { return NetNS{kind: fdNS, fd: fd} }

// PID is the namespace of a process.
func PID(pid int) NetNS { return NetNS{kind: pidNS, pid: pid} }

// String names it for messages.
func (n NetNS) String() string {
	switch n.kind {
	case pathNS:
		return n.path
	case fdNS:
		return fmt.Sprintf("descriptor %d", n.fd)
	case pidNS:
		return fmt.Sprintf("process %d", n.pid)
	}
	return "the data-plane's own"
}

// open gives a handle to it, the caller's to close.
func (n NetNS) open(own *netns.Handle) (*netns.Handle, error) {
	switch n.kind {
	case pathNS:
		return netns.FromPath(n.path)
	case fdNS:
		return netns.FromFD(n.fd)
	case pidNS:
		return netns.FromPID(n.pid)
	}
	if own == nil {
		return netns.Current()
	}
	return netns.FromFD(own.FD())
}
