// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Namespace is a network namespace, held by a descriptor, and by its name where it has one.
type Namespace struct {
	Name string // for messages

	fd      netns.NsHandle
	netlink *netlink.Handle
}

// NewNamespace makes a namespace with its loopback up. The name is for messages only.
func NewNamespace(name string) (*Namespace, error) {
	return newNamespace(name, func() error { return nil })
}

// newNamespace has keep see to what else shall hold the namespace, from within.
func newNamespace(name string, keep func() error) (_ *Namespace, err error) {
	n := &Namespace{Name: name, fd: netns.None()}
	defer func() {
		if err != nil {
			err = fmt.Errorf("create namespace %s: %w", name, errors.Join(err, n.Close()))
		}
	}()
	err = away(func() (err error) {
		n.fd, err = netns.New()
		return err
	}, keep)
	if err != nil {
		return nil, err
	}
	if n.netlink, err = netlink.NewHandleAt(n.fd, unix.NETLINK_ROUTE); err != nil {
		return nil, err
	}
	return n, n.Up("lo")
}

// Path names the namespace to other libraries, for as long as it is not closed.
func (n *Namespace) Path() string {
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), int(n.fd))
}

// Do runs f in the namespace. Sockets that f opens stay there.
func (n *Namespace) Do(f func() error) error {
	err := make(chan error, 1)
	go func() {
		err <- away(func() error { return netns.Set(n.fd) }, f)
	}()
	return <-err
}

// Close lets go of the namespace. What is in it goes with its last user.
func (n *Namespace) Close() error {
	if n.netlink != nil {
		n.netlink.Close()
		n.netlink = nil
	}
	if !n.fd.IsOpen() {
		return nil
	}
	return n.fd.Close()
}

// Sysctl writes a file below /proc/sys/net of the namespace.
func (n *Namespace) Sysctl(name, value string) error {
	return n.Do(func() error {
		return os.WriteFile("/proc/sys/net/"+name, []byte(value), 0)
	})
}

// away has move take this thread into another namespace, runs f and comes back. Where there is no way
// back the goroutine keeps the thread locked, which ends with it.
func away(move, f func() error) error {
	runtime.LockOSThread()
	here, err := netns.Get()
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer here.Close()
	err = move()
	if err == nil {
		err = f()
	}
	if back := netns.Set(here); back != nil {
		return errors.Join(err, fmt.Errorf("return from namespace: %w", back))
	}
	runtime.UnlockOSThread()
	return err
}
