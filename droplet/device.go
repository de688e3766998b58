// SPDX-License-Identifier: Apache-2.0

package droplet

import (
	"errors"
	"fmt"
	"hash/fnv"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/internal/ethtool"
)

// device is an interface as the kernel shows it.
type device struct{ netlink.Link }

func deviceByName(name string) (*device, error) {
	return lookUp(name, func() (netlink.Link, error) { return netlink.LinkByName(name) })
}

func deviceByIndex(ifindex int) (*device, error) {
	return lookUp(fmt.Sprint(ifindex), func() (netlink.Link, error) { return netlink.LinkByIndex(ifindex) })
}

// lookUp tells an interface that is missing, for which netlink has an error of its own, from a lookup
// that failed.
func lookUp(what string, get func() (netlink.Link, error)) (*device, error) {
	l, err := get()
	missing := netlink.LinkNotFoundError{}
	switch {
	case err == nil:
		return &device{l}, nil
	case errors.As(err, &missing), errors.Is(err, unix.ENODEV):
		return nil, fmt.Errorf("look up interface %s: %w", what, ErrNoInterface)
	}
	return nil, fmt.Errorf("look up interface %s: %w", what, err)
}

func (d *device) index() int { return d.Attrs().Index }

// kind is what makes a virtual device: veth, bridge, tun. It is empty for one with hardware, also of a
// hypervisor.
func (d *device) kind() string {
	if kind := d.Type(); kind != "device" {
		return kind
	}
	return ""
}

// driver names the driver, for choices and messages.
func (d *device) driver() string {
	if name, err := ethtool.Driver(d.Attrs().Name); err == nil && name != "" {
		return name
	}
	return d.Type()
}

// identity tells a device from another that has its ifindex later. Hardware keeps a permanent address;
// for the rest the one of now has to do.
func (d *device) identity() uint64 {
	a := d.Attrs()
	mac := a.PermHWAddr
	if len(mac) == 0 {
		mac = a.HardwareAddr
	}
	h := fnv.New64a()
	fmt.Fprintf(h, "%s|%s|%s", d.Type(), a.ParentDev, mac)
	return h.Sum64()
}

// consistent repeats a listing that the kernel says has changed while it was read.
func consistent[T any](list func() ([]T, error)) ([]T, error) {
	const tries = 10
	for i := 1; ; i++ {
		all, err := list()
		if i == tries || !errors.Is(err, netlink.ErrDumpInterrupted) {
			return all, err
		}
	}
}
