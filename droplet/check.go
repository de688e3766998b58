// SPDX-License-Identifier: Apache-2.0

package droplet

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/maps"
)

const (
	// overhead is what the outer headers take at most: IPv6, UDP, Geneve, return-to-sender, Ethernet.
	overhead = 40 + 8 + 8 + 24 + 14
	// minMTU leaves an endpoint IPv6's least.
	minMTU = 1280 + overhead
	// maxMTU is what the table holds: an IP packet is no longer.
	maxMTU = 65535
)

// check tells whether a device can be a droplet at all, and with which addresses.
func (m *Manager) check(dev *device, c *Config) ([]netip.Addr, error) {
	a := dev.Attrs()
	if a.EncapType != "ether" {
		return nil, fmt.Errorf("%w: %s (driver %s) has no Ethernet frames but %s", bpf.ErrNotSupported, a.Name, dev.driver(), a.EncapType)
	}
	if err := m.busy(dev, c.Mode); err != nil {
		return nil, err
	}
	return fitting(dev, c)
}

// fitting tells whether a device is fit to send by now, and from which addresses.
func fitting(dev *device, c *Config) ([]netip.Addr, error) {
	if mtu := dev.Attrs().MTU; mtu < minMTU {
		return nil, fmt.Errorf("%w: %d bytes, of %d at least", ErrMTU, mtu, minMTU)
	}
	if len(c.Addrs) != 0 {
		return slices.Clone(c.Addrs), nil
	}
	addrs, err := ownAddrs(dev)
	if err == nil && len(addrs) == 0 {
		err = fmt.Errorf("%w of global scope", ErrNoAddress)
	}
	return addrs, err
}

// busy looks for who is there already: an endpoint of ours, or a program in XDP's one place.
func (m *Manager) busy(dev *device, mode Mode) error {
	switch saved, err := m.tables.Restore.Get(dev.index()); {
	case err == nil:
		return fmt.Errorf("it is an endpoint's (%s): %w", saved.Role, ErrBusy)
	case !errors.Is(err, maps.ErrNotFound):
		return err
	}
	xdp := dev.Attrs().Xdp
	if xdp == nil || !xdp.Attached {
		return nil
	}
	id := ebpf.ProgramID(xdp.ProgId)
	name := programName(id)
	if own, err := m.programs.TransitXDP.Info(); err == nil && name != "" && name == own.Name {
		return fmt.Errorf("a droplet of another data-plane, with XDP program %d: %w", id, maps.ErrExists)
	}
	if mode.XDP() {
		return fmt.Errorf("XDP program %d (%s): %w", id, name, ErrBusy)
	}
	return nil
}

// programName is empty where it may not be asked, or the program has none.
func programName(id ebpf.ProgramID) string {
	p, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return ""
	}
	defer p.Close()
	info, err := p.Info()
	if err != nil {
		return ""
	}
	return info.Name
}

// ownAddrs are the addresses that other hosts can be given: of global scope, and there to stay. IPv4 and
// IPv6 each in the kernel's order, which begins with the primary one.
func ownAddrs(dev *device) ([]netip.Addr, error) {
	all, err := consistent(func() ([]netlink.Addr, error) { return netlink.AddrList(dev, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("list addresses of %s: %w", dev.Attrs().Name, err)
	}
	var addrs []netip.Addr
	for _, a := range all {
		addr, ok := netip.AddrFromSlice(a.IP)
		addr = addr.Unmap()
		// IFA_F_SECONDARY of IPv6 is IFA_F_TEMPORARY: a privacy address, which expires.
		passing := a.Flags&unix.IFA_F_DADFAILED != 0 || addr.Is6() && a.Flags&unix.IFA_F_TEMPORARY != 0
		if ok && !passing && a.Scope == unix.RT_SCOPE_UNIVERSE && !slices.Contains(addrs, addr) {
			addrs = append(addrs, addr)
		}
	}
	return addrs, nil
}
