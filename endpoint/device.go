// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/maps"
)

// byIndex looks an interface up in the thread's namespace; nil where there is none.
func byIndex(ifindex int) (netlink.Link, error) {
	dev, err := netlink.LinkByIndex(ifindex)
	return found(dev, err, fmt.Sprintf("number %d", ifindex))
}

func byName(name string) (netlink.Link, error) {
	dev, err := netlink.LinkByName(name)
	return found(dev, err, name)
}

func found(dev netlink.Link, err error, what string) (netlink.Link, error) {
	var missing netlink.LinkNotFoundError
	switch {
	case err == nil:
		return dev, nil
	case errors.As(err, &missing), errors.Is(err, unix.ENODEV):
		return nil, nil
	}
	return nil, fmt.Errorf("look up interface %s: %w", what, err)
}

// device looks up the interface that a record speaks of; nil where it is gone.
func device(s maps.Saved) (netlink.Link, error) {
	dev, err := byIndex(s.Ifindex)
	if dev == nil || !same(dev.Attrs(), s) {
		return nil, err
	}
	return dev, nil
}

// same tells whether an interface is the recorded one, and not another that has got its number. Admins
// rename interfaces and change their MACs, but not both at once.
func same(a *netlink.LinkAttrs, s maps.Saved) bool {
	return a.Index == s.Ifindex && (a.Name == s.Name || identity(a.HardwareAddr) == s.Device)
}

// identity makes a number of a MAC; 0 of none.
func identity(mac net.HardwareAddr) (n uint64) {
	for _, b := range mac {
		n = n<<8 | uint64(b)
	}
	return n
}
