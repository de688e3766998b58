// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/internal/ethtool"
	"github.com/mizar-go/mizar/maps"
)

// name decides on number and name of the interface to make, so that both can be written down before it
// is there: who is killed right after leaves nothing that nobody knows of. High random numbers are clear
// of the kernel's own, which count up from 1, and are not soon used again.
func (b *creation) name() error {
	if b.Adopt {
		return nil
	}
	for {
		n := int(random()&(1<<31-1) | 1<<24)
		free, err := b.m.unused(n)
		if err != nil {
			return err
		}
		if !free {
			continue
		}
		b.saved.Ifindex = n
		if b.HostInterface == "" {
			b.HostInterface = fmt.Sprintf("mz%08x", n)
		}
		return nil
	}
}

// unused tells whether neither interface nor record has the number.
func (m *Manager) unused(ifindex int) (free bool, err error) {
	if _, err := m.tables.Restore.Get(ifindex); !errors.Is(err, maps.ErrNotFound) {
		return false, err
	}
	err = m.in(func() error {
		dev, err := byIndex(ifindex)
		free = dev == nil
		return err
	})
	return free, err
}

func random() uint64 {
	var b [8]byte
	rand.Read(b[:]) // does not fail
	return binary.NativeEndian.Uint64(b[:])
}

// randomMAC is a unicast one that nobody was assigned.
func randomMAC() net.HardwareAddr {
	mac := make(net.HardwareAddr, 6)
	rand.Read(mac)
	mac[0] = 0x02
	return mac
}

// makeVeth makes the pair, down yet, with one end in the workload's namespace.
func (b *creation) makeVeth(ctx context.Context) error {
	if err := b.settleVeth(); err != nil {
		return err
	}
	host := randomMAC()
	b.saved.Name = b.HostInterface
	b.saved.Role = maps.RoleEndpoint
	b.saved.Mode = b.Mode
	b.saved.Device = identity(host)
	b.agent.PeerNetNS = !b.ownNS
	if err := b.record(ctx); err != nil {
		return err
	}
	if err := b.do(ctx, "veth", func() error { return b.addVeth(host) }, func() error {
		return b.m.deleteVeth(b.saved)
	}); err != nil {
		return err
	}
	if err := b.do(ctx, "quiet", b.quieten, nil); err != nil {
		return err
	}
	return b.do(ctx, "offloads", func() error {
		err := b.ns.Do(func() error { return ethtool.Set(b.Interface, offloads(b.Mode)) })
		if err == nil && b.Function {
			err = ethtool.Set(b.HostInterface, whole()) // XDP may be at the other end
		}
		return err
	}, nil)
}

// settleVeth fills in what the caller left open, and sees whether the names are free.
func (b *creation) settleVeth() (err error) {
	if b.MTU == 0 {
		size := defaultMTU
		if b.Function {
			size = tunnelMTU
		}
		if b.MTU, err = size(b.m.tables.Droplets); err != nil {
			return err
		}
		if err := b.fits(b.MTU); err != nil {
			return fmt.Errorf("what the droplets leave: %w", err)
		}
	}
	if b.MAC == nil {
		b.MAC = randomMAC()
	}
	if b.ownNS && b.Interface == b.HostInterface {
		return invalid("interface %s: both ends in one namespace cannot have one name", b.Interface)
	}
	if err := b.m.nameFree(b.HostInterface); err != nil {
		return err
	}
	return b.ns.Do(func() error {
		dev, err := byName(b.Interface)
		if dev != nil {
			return fmt.Errorf("interface %s in the workload's namespace: %w", b.Interface, maps.ErrExists)
		}
		return err
	})
}

// nameFree tells, by an error, of an interface or a record that has the name.
func (m *Manager) nameFree(name string) error {
	dev, err := byName(name)
	if err != nil {
		return err
	}
	row, err := m.find(name)
	switch {
	case err == nil && dev == nil:
		return fmt.Errorf("interface %s: it is gone, its endpoint was never deleted: %w", name, maps.ErrExists)
	case err == nil:
		return fmt.Errorf("interface %s: it is of another endpoint, number %d: %w", name, row.Ifindex, maps.ErrExists)
	case !errors.Is(err, maps.ErrNotFound):
		return err
	case dev != nil:
		return fmt.Errorf("interface %s: %w", name, maps.ErrExists)
	}
	return nil
}

// addVeth makes both ends in one message: moving one later takes 15 ms, this 0.4.
func (b *creation) addVeth(mac net.HardwareAddr) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Index = b.saved.Ifindex
	attrs.Name = b.HostInterface
	attrs.HardwareAddr = mac
	attrs.MTU = b.MTU
	pair := netlink.NewVeth(attrs)
	pair.PeerName = b.Interface
	pair.PeerNamespace = netlink.NsFd(b.ns.FD())
	pair.PeerHardwareAddr = b.MAC
	pair.PeerMTU = uint32(b.MTU)
	err := netlink.LinkAdd(pair)
	switch {
	case errors.Is(err, unix.EEXIST):
		return fmt.Errorf("add interfaces %s and %s: %w: %w", b.HostInterface, b.Interface, maps.ErrExists, err)
	case errors.Is(err, unix.EOPNOTSUPP):
		return notSupported("add interface %s: the kernel has no veth", b.HostInterface)
	case err != nil:
		return fmt.Errorf("add interfaces %s and %s: %w", b.HostInterface, b.Interface, explain(err))
	}
	return nil
}

// addrGenNone is IN6_ADDR_GEN_MODE_NONE.
const addrGenNone = 1

// quieten keeps the host's stack from making itself an address on the host's side, and from sending what
// goes with it to the workload.
func (b *creation) quieten() error {
	err := netlink.LinkSetIP6AddrGenMode(&netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: b.saved.Ifindex}}, addrGenNone)
	if err != nil && !is(err, unix.EAFNOSUPPORT, unix.EOPNOTSUPP, unix.EINVAL) { // no IPv6 here at all
		return fmt.Errorf("turn off IPv6 addresses of %s: %w", b.HostInterface, explain(err))
	}
	return nil
}

// deleteVeth removes a pair that was made, if it is still there.
func (m *Manager) deleteVeth(s maps.Saved) error {
	dev, err := device(s)
	if err != nil || dev == nil {
		return err
	}
	err = netlink.LinkDel(dev)
	if err != nil && !errors.Is(err, unix.ENODEV) { // its other end may have gone meanwhile
		return fmt.Errorf("delete interface %s: %w", s.Name, explain(err))
	}
	return nil
}
