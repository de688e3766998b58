// SPDX-License-Identifier: Apache-2.0

package plumb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Address is an address of one of the host's interfaces. Both fields are its key.
type Address struct {
	Interface string
	Prefix    netip.Prefix // with the length of its network: 10.0.0.1/24
}

// String is its key.
func (a Address) String() string { return fmt.Sprintf("%s of %s", a.Prefix, a.Interface) }

func (a Address) validate() error {
	addr := a.Prefix.Addr()
	switch {
	case !interfaceName(a.Interface):
		return invalid("interface %q: no name for one", a.Interface)
	case !a.Prefix.IsValid() || addr.Is4In6() || addr.IsMulticast() || addr.IsUnspecified():
		return invalid("not a unicast address")
	case a.Prefix.Bits() == 0:
		return invalid("the length of its network is missing")
	}
	return nil
}

// AddAddress gives an interface an address. One that it has by other hands is [ErrNotOurs].
func (p *Plumber) AddAddress(ctx context.Context, a Address) (Outcome, error) {
	return p.apply(ctx, "add address "+a.String(), false, func(context.Context) (*plan, error) { return p.planAddress(a) })
}

// CheckAddress says what [Plumber.AddAddress] would do.
func (p *Plumber) CheckAddress(ctx context.Context, a Address) (Outcome, error) {
	return p.apply(ctx, "check address "+a.String(), true, func(context.Context) (*plan, error) { return p.planAddress(a) })
}

func (p *Plumber) planAddress(a Address) (*plan, error) {
	if err := a.validate(); err != nil {
		return nil, err
	}
	l, err := p.link(a.Interface)
	if err != nil {
		return nil, err
	}
	all, err := p.addresses()
	if err != nil {
		return nil, err
	}
	to := &plan{}
	for _, row := range all {
		if row.ifindex == l.Attrs().Index && (row.prefix == a.Prefix || row.prefix.Addr() == a.Prefix.Addr() && a.Prefix.Addr().Is6()) {
			if row.protocol != p.Protocol {
				return nil, ErrNotOurs
			}
			if row.prefix == a.Prefix {
				return to.settle(true), nil
			}
			return nil, fmt.Errorf("it is there as %s: %w", row.prefix, ErrExists) // which the kernel does not change
		}
	}
	to.then("add", func() error {
		return p.changeAddress(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, l.Attrs().Index, a.Prefix)
	}, func() error {
		err := p.changeAddress(unix.RTM_DELADDR, 0, l.Attrs().Index, a.Prefix)
		if errors.Is(err, unix.EADDRNOTAVAIL) {
			return nil
		}
		return err
	})
	return to.settle(false), nil
}

// RemoveAddress takes an address away that we gave, and no other with it.
func (p *Plumber) RemoveAddress(ctx context.Context, a Address) error {
	_, err := p.apply(ctx, "remove address "+a.String(), false, func(context.Context) (*plan, error) {
		if err := a.validate(); err != nil {
			return nil, err
		}
		l, err := p.link(a.Interface)
		if err != nil {
			return nil, err
		}
		all, err := p.addresses()
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(all, func(row address) bool { return row.ifindex == l.Attrs().Index && row.prefix == a.Prefix })
		switch {
		case i < 0:
			return nil, ErrNotFound
		case all[i].protocol != p.Protocol:
			return nil, fmt.Errorf("somebody else gave it: %w", ErrNotFound)
		}
		remove := func() error { return p.changeAddress(unix.RTM_DELADDR, 0, l.Attrs().Index, a.Prefix) }
		if first(all, all[i]) {
			remove = p.promoting(a.Interface, remove)
		}
		to := &plan{}
		to.then("delete", remove, nil)
		return to, nil
	})
	return err
}

// first tells whether the kernel keeps others only for this one: of IPv4, those of its network that came later.
func first(all []address, one address) bool {
	return !one.secondary && one.prefix.Addr().Is4() && slices.ContainsFunc(all, func(other address) bool {
		return other.ifindex == one.ifindex && other.prefix != one.prefix && other.prefix.Masked() == one.prefix.Masked()
	})
}

// promoting has the next address of a network take the place of the first one, which f deletes: else the kernel deletes
// all of them. The setting is as it was after that; where we die over it, it stays as most distributions have it.
func (p *Plumber) promoting(name string, f func() error) func() error {
	path := filepath.Join("/proc/sys/net/ipv4/conf", name, "promote_secondaries")
	return func() error {
		return p.in(func() error {
			was, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if err := os.WriteFile(path, []byte("1"), 0); err != nil {
				return err
			}
			return errors.Join(f(), os.WriteFile(path, was, 0))
		})
	}
}

// Addresses lists the addresses that we gave, sorted by interface and address.
func (p *Plumber) Addresses(ctx context.Context) ([]Address, error) {
	return list(p, ctx, "addresses", func() ([]Address, error) {
		names, err := p.names()
		if err != nil {
			return nil, err
		}
		rows, err := p.addresses()
		if err != nil {
			return nil, err
		}
		var all []Address
		for _, row := range rows {
			if row.protocol == p.Protocol {
				all = append(all, Address{names[row.ifindex], row.prefix})
			}
		}
		slices.SortFunc(all, func(a, b Address) int {
			return cmp.Or(cmp.Compare(a.Interface, b.Interface), a.Prefix.Compare(b.Prefix))
		})
		return all, nil
	})
}

// address is one as the kernel has it, with what package netlink leaves out.
type address struct {
	ifindex   int
	prefix    netip.Prefix
	protocol  uint8
	secondary bool
}

// ifaProto is IFA_PROTO, which neither netlink nor x/sys has: who gave an address. Linux 5.18.
const ifaProto = 11

func (p *Plumber) request(kind, flags int) *nl.NetlinkRequest {
	r := nl.NewNetlinkRequest(kind, flags)
	r.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: p.raw}
	return r
}

func (p *Plumber) changeAddress(kind, flags, ifindex int, prefix netip.Prefix) error {
	r := p.request(kind, flags|unix.NLM_F_ACK)
	addr := prefix.Addr()
	family := unix.AF_INET6
	if addr.Is4() {
		family = unix.AF_INET
	}
	head := nl.NewIfAddrmsg(family)
	head.Prefixlen, head.Index = uint8(prefix.Bits()), uint32(ifindex)
	if addr.IsLinkLocalUnicast() {
		head.Scope = unix.RT_SCOPE_LINK
	}
	r.AddData(head)
	r.AddData(nl.NewRtAttr(unix.IFA_LOCAL, addr.AsSlice()))
	r.AddData(nl.NewRtAttr(unix.IFA_ADDRESS, addr.AsSlice()))
	r.AddData(nl.NewRtAttr(ifaProto, []byte{p.Protocol}))
	if addr.Is4() && prefix.Bits() < 31 {
		last := addr.As4()
		for i := range 32 - prefix.Bits() {
			last[3-i/8] |= 1 << (i % 8)
		}
		r.AddData(nl.NewRtAttr(unix.IFA_BROADCAST, last[:]))
	}
	_, err := r.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

func (p *Plumber) addresses() ([]address, error) {
	messages, err := whole(func() ([][]byte, error) {
		r := p.request(unix.RTM_GETADDR, unix.NLM_F_DUMP)
		r.AddData(nl.NewIfAddrmsg(unix.AF_UNSPEC))
		return r.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWADDR)
	})
	if err != nil {
		return nil, err
	}
	var all []address
	for _, m := range messages {
		head := nl.DeserializeIfAddrmsg(m)
		attrs, err := nl.ParseRouteAttr(m[head.Len():])
		if err != nil {
			return nil, err
		}
		a := address{ifindex: int(head.Index), secondary: head.Flags&unix.IFA_F_SECONDARY != 0}
		var local, remote netip.Addr
		for _, attr := range attrs {
			switch attr.Attr.Type {
			case unix.IFA_LOCAL:
				local, _ = netip.AddrFromSlice(attr.Value)
			case unix.IFA_ADDRESS:
				remote, _ = netip.AddrFromSlice(attr.Value)
			case ifaProto:
				if len(attr.Value) > 0 {
					a.protocol = attr.Value[0]
				}
			}
		}
		if !local.IsValid() {
			local = remote // IPv6 has a local one only where there is a peer
		}
		if a.prefix = netip.PrefixFrom(local, int(head.Prefixlen)); a.prefix.IsValid() {
			all = append(all, a)
		}
	}
	return all, nil
}
