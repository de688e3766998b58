// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"context"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"

	"github.com/mizar-go/mizar/internal/attach"
	"github.com/mizar-go/mizar/internal/ethtool"
	"github.com/mizar-go/mizar/maps"
)

// adopt takes an interface that is there, and sets what the agent needs at the other end of it.
func (b *creation) adopt(ctx context.Context) error {
	dev, err := b.m.adoptable(b.HostInterface)
	if err != nil {
		return err
	}
	a := dev.Attrs()
	b.saved = maps.Saved{
		Ifindex: a.Index, Name: a.Name, Role: maps.RoleAdopted, Mode: b.Mode, Device: identity(a.HardwareAddr),
	}
	if b.saved.Qdisc, err = attach.NeedsClsact(a.Index); err != nil {
		return err
	}
	mtu := a.MTU
	var other *end
	if veth, ok := dev.(*netlink.Veth); ok {
		if other, err = b.m.otherEnd(veth, b.NetNS); err != nil {
			return err
		}
		defer other.ns.Close()
		mtu = other.mtu
		if b.MAC == nil {
			b.MAC = other.mac
		}
		b.agent.PeerNetNS = a.NetNsID >= 0
	}
	if err := b.settleAdopted(dev, mtu); err != nil {
		return err
	}
	if other != nil {
		err := other.ns.Do(func() (err error) {
			b.saved.FeatureMask, b.saved.FeatureWas, err = ethtool.Plan(other.name, offloads(b.Mode))
			return err
		})
		if err != nil {
			return err
		}
	}
	if err := b.record(ctx); err != nil {
		return err
	}
	b.undo.push(func() error { return b.m.giveBack(b.saved) })
	if other == nil {
		return nil
	}
	return b.do(ctx, "offloads", func() error {
		return other.ns.Do(func() error { return ethtool.Set(other.name, offloads(b.Mode)) })
	}, nil)
}

// settleAdopted fills in what the caller left open.
func (b *creation) settleAdopted(dev netlink.Link, mtu int) error {
	name := dev.Attrs().Name
	if b.MAC == nil {
		return invalid("MAC: that of what is behind %s (%s) cannot be known", name, dev.Type())
	}
	if err := validateMAC(b.MAC); err != nil {
		return err
	}
	if b.MTU == 0 {
		b.MTU = mtu
		if err := b.fits(mtu); err != nil {
			return fmt.Errorf("of %s: %w", name, err)
		}
	}
	if !b.Mode.XDP() {
		return nil
	}
	switch d := dev.(type) {
	case *netlink.Veth:
		return nil
	case *netlink.Tuntap:
		if d.Flags&netlink.TUNTAP_VNET_HDR == 0 {
			return nil
		}
		return notSupported("mode %s: tap %s has a virtio header: XDP would see checksums and segments that are not finished", b.Mode, name)
	}
	return notSupported("mode %s: what is behind %s (%s) cannot be told to finish its checksums", b.Mode, name, dev.Type())
}

// adoptable looks up an interface that may become an endpoint's.
func (m *Manager) adoptable(name string) (netlink.Link, error) {
	dev, err := byName(name)
	if err != nil {
		return nil, err
	}
	if _, err := m.find(name); err == nil {
		return nil, fmt.Errorf("interface %s: it is an endpoint's already: %w", name, maps.ErrExists)
	} else if !errors.Is(err, maps.ErrNotFound) {
		return nil, err
	}
	if dev == nil {
		return nil, fmt.Errorf("interface %s: %w", name, maps.ErrNotFound)
	}
	a := dev.Attrs()
	if a.EncapType != "ether" {
		return nil, notSupported("interface %s: it carries no Ethernet", name)
	}
	if s, err := m.tables.Restore.Get(a.Index); err == nil {
		return nil, fmt.Errorf("interface %s: it is in use, or has the number of %s, which is gone and was never deleted: %w",
			name, s.Name, maps.ErrExists)
	} else if !errors.Is(err, maps.ErrNotFound) {
		return nil, err
	}
	if _, err := m.tables.Agents.Get(a.Index); err == nil {
		return nil, fmt.Errorf("interface %s: it has an agent already: %w", name, maps.ErrExists)
	} else if !errors.Is(err, maps.ErrNotFound) {
		return nil, err
	}
	return dev, nil
}
