// SPDX-License-Identifier: Apache-2.0

package droplet

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/bpf"
)

// SetupFIB makes the device where route lookups start, or takes the one that is there, and returns its
// number. It is one end of a veth pair, which every kernel has, and stays down: it has no address, sends
// nothing and receives nothing. Forwarding is on for it alone, so the host does not become a router. It is
// there until RemoveFIB.
//
// IPv6 forwarding takes a writable /proc/sys; where there is none it gives [bpf.ErrPermission], unless
// the namespace has IPv6 disabled. [ErrBusy]: an interface that is not ours has the name.
func (m *Manager) SetupFIB(ctx context.Context) (ifindex int, err error) {
	err = m.do(ctx, func() error {
		ifindex, err = m.setupFIB(ctx)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("set up route lookups: %w", err)
	}
	return ifindex, nil
}

// RemoveFIB takes the device away. That there is none is fine.
func (m *Manager) RemoveFIB(ctx context.Context) error {
	err := m.do(ctx, func() error {
		dev, err := m.findFIB()
		if err != nil || dev == nil {
			return err
		}
		err = netlink.LinkDel(dev)
		if errors.Is(err, unix.ENODEV) {
			return nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("remove device of route lookups: %w", err)
	}
	return nil
}

func (m *Manager) setupFIB(ctx context.Context) (int, error) {
	dev, err := m.findFIB()
	if err != nil {
		return 0, err
	}
	name, peer := m.fibNames()
	made := dev == nil
	err = m.run(ctx, []step{
		{
			name: "device",
			do: func() error {
				if !made {
					return nil
				}
				attrs := netlink.NewLinkAttrs()
				attrs.Name = name
				err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: peer})
				if errors.Is(err, unix.EEXIST) {
					err = fmt.Errorf("interface %s is not ours: %w: %w", peer, ErrBusy, err)
				}
				if err != nil {
					return fmt.Errorf("add %s: %w", name, err)
				}
				return nil
			},
			undo: func() error {
				if !made {
					return nil
				}
				return netlink.LinkDel(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}})
			},
		},
		{
			name: "number",
			do: func() (err error) {
				dev, err = deviceByName(name)
				return err
			},
		},
		{name: "addresses", do: func() error { return noAddresses(name, peer) }},
		{name: "forwarding4", do: func() error { return forward4(dev.index()) }},
		{name: "forwarding6", do: func() error { return forward6(name) }},
	})
	if err != nil {
		return 0, err
	}
	return dev.index(), nil
}

// fibNames are the two ends' names, of a length that the kernel takes whatever ours is.
func (m *Manager) fibNames() (name, peer string) {
	sum := sha256.Sum256([]byte(m.name))
	name = fmt.Sprintf("mzf%x", sum[:5])
	return name, name + "p"
}

// findFIB is the device as we make it; nil if there is none.
func (m *Manager) findFIB() (*device, error) {
	name, peerName := m.fibNames()
	dev, err := deviceByName(name)
	if errors.Is(err, ErrNoInterface) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	peer, err := deviceByName(peerName)
	if err != nil && !errors.Is(err, ErrNoInterface) {
		return nil, err
	}
	if err != nil || dev.kind() != "veth" || dev.Attrs().ParentIndex != peer.index() {
		return nil, fmt.Errorf("interface %s is not ours: %w", name, ErrBusy)
	}
	return dev, nil
}

// noAddresses keeps the kernel from giving IPv6 addresses to devices, should somebody set them up.
func noAddresses(names ...string) error {
	const none = 1 // IN6_ADDR_GEN_MODE_NONE
	for _, name := range names {
		dev, err := deviceByName(name)
		if err != nil {
			return err
		}
		err = netlink.LinkSetIP6AddrGenMode(dev, none)
		if err != nil && !errors.Is(err, unix.EAFNOSUPPORT) { // no IPv6 at all
			return fmt.Errorf("keep IPv6 addresses off %s: %w", name, err)
		}
	}
	return nil
}

// forward4 turns on IPv4 forwarding for a device. By netlink, as /proc/sys is read-only in many
// containers.
func forward4(ifindex int) error {
	const (
		inetConf   = 1 // IFLA_INET_CONF
		forwarding = 1 // IPV4_DEVCONF_FORWARDING
	)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(ifindex)
	spec := nl.NewRtAttr(unix.IFLA_AF_SPEC, nil)
	spec.AddRtAttr(unix.AF_INET, nil).AddRtAttr(inetConf, nil).AddRtAttr(forwarding, nl.Uint32Attr(1))
	req := nl.NewNetlinkRequest(unix.RTM_SETLINK, unix.NLM_F_ACK)
	req.AddData(msg)
	req.AddData(spec)
	if _, err := req.Execute(unix.NETLINK_ROUTE, 0); err != nil {
		return fmt.Errorf("turn on IPv4 forwarding for interface %d: %w", ifindex, err)
	}
	return nil
}

// ipv6Sysctls are those of the calling thread's network namespace.
const ipv6Sysctls = "/proc/sys/net/ipv6"

// forward6 turns on IPv6 forwarding for a device. Netlink has no way to.
func forward6(name string) error {
	if _, err := os.Stat(ipv6Sysctls); errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Dir(ipv6Sysctls)); err == nil {
			return nil // a kernel without IPv6, or booted so
		}
	}
	dir := filepath.Join(ipv6Sysctls, "conf", name)
	path := filepath.Join(dir, "forwarding")
	if is(path, "1") {
		return nil
	}
	err := os.WriteFile(path, []byte("1"), 0)
	if errors.Is(err, unix.EROFS) {
		if is(filepath.Join(dir, "disable_ipv6"), "1") {
			return nil
		}
		err = fmt.Errorf("%w: /proc/sys is read-only here, as in a container: %w", bpf.ErrPermission, err)
	}
	if err != nil {
		return fmt.Errorf("turn on IPv6 forwarding for %s: %w", name, err)
	}
	return nil
}

// is tells whether a setting is known to have a value.
func is(path, value string) bool {
	now, err := os.ReadFile(path)
	return err == nil && strings.TrimSpace(string(now)) == value
}
