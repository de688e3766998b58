// SPDX-License-Identifier: Apache-2.0

package droplet

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// protocol marks the neighbours that we made or took over (NDA_PROTOCOL): 'm' for mizar. netlink's own
// calls do not carry it.
const protocol = 0x6d

// neighbour is an address on a device's link.
type neighbour struct {
	ifindex int
	addr    netip.Addr
}

// entry is the kernel's for a neighbour.
type entry struct {
	neighbour
	state, protocol int
	managed         bool
}

// ours tells whether we made the entry, or took it over.
func (e *entry) ours() bool { return e.managed && e.protocol == protocol }

// manage makes the kernel resolve a neighbour now, and again whenever its answer gets old. The flag for
// entries of others' making keeps it from being collected as garbage.
func (n neighbour) manage() error {
	e, err := n.get()
	if err != nil {
		return err
	}
	// Managing one that was entered by hand would make it an ordinary one.
	if e != nil && (e.managed || e.state&(netlink.NUD_PERMANENT|netlink.NUD_NOARP) != 0) {
		return nil
	}
	req := n.request(unix.RTM_NEWNEIGH, unix.NLM_F_CREATE|unix.NLM_F_ACK, netlink.NTF_EXT_LEARNED)
	req.AddData(nl.NewRtAttr(netlink.NDA_PROTOCOL, []byte{protocol}))
	req.AddData(nl.NewRtAttr(netlink.NDA_FLAGS_EXT, nl.Uint32Attr(netlink.NTF_EXT_MANAGED)))
	if _, err := req.Execute(unix.NETLINK_ROUTE, 0); err != nil {
		return fmt.Errorf("manage neighbour %s on interface %d: %w", n.addr, n.ifindex, err)
	}
	return nil
}

// get is the kernel's entry; nil if there is none.
func (n neighbour) get() (*entry, error) {
	answers, err := n.request(unix.RTM_GETNEIGH, 0, 0).Execute(unix.NETLINK_ROUTE, unix.RTM_NEWNEIGH)
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read neighbour %s on interface %d: %w", n.addr, n.ifindex, err)
	}
	if len(answers) == 0 {
		return nil, nil
	}
	return parseEntry(answers[0])
}

func (n neighbour) remove() error {
	_, err := n.request(unix.RTM_DELNEIGH, unix.NLM_F_ACK, 0).Execute(unix.NETLINK_ROUTE, 0)
	if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("remove neighbour %s of interface %d: %w", n.addr, n.ifindex, err)
	}
	return nil
}

func (n neighbour) request(kind, flags, neighbourFlags int) *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(kind, flags)
	family := unix.AF_INET6
	if n.addr.Is4() {
		family = unix.AF_INET
	}
	req.AddData(&netlink.Ndmsg{Family: uint8(family), Index: uint32(n.ifindex), Flags: uint8(neighbourFlags)})
	req.AddData(nl.NewRtAttr(netlink.NDA_DST, n.addr.AsSlice()))
	return req
}

func parseEntry(msg []byte) (*entry, error) {
	// What the library does not parse is the protocol; the rest it does.
	n, err := netlink.NeighDeserialize(msg)
	if err != nil {
		return nil, fmt.Errorf("read neighbour: %w", err)
	}
	addr, _ := netip.AddrFromSlice(n.IP)
	e := &entry{neighbour{n.LinkIndex, addr}, n.State, 0, n.FlagsExt&netlink.NTF_EXT_MANAGED != 0}
	attrs, err := nl.ParseRouteAttr(msg[(&netlink.Ndmsg{}).Len():])
	if err != nil {
		return nil, fmt.Errorf("read neighbour: %w", err)
	}
	for _, a := range attrs {
		if a.Attr.Type == netlink.NDA_PROTOCOL && len(a.Value) > 0 {
			e.protocol = int(a.Value[0])
		}
	}
	return e, nil
}

// neighbours are all entries of a device.
func neighbours(ifindex int) ([]*entry, error) {
	answers, err := consistent(func() ([][]byte, error) {
		req := nl.NewNetlinkRequest(unix.RTM_GETNEIGH, unix.NLM_F_DUMP)
		req.AddData(&netlink.Ndmsg{Index: uint32(ifindex)})
		req.AddData(nl.NewRtAttr(netlink.NDA_IFINDEX, nl.Uint32Attr(uint32(ifindex))))
		return req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWNEIGH)
	})
	if err != nil {
		return nil, fmt.Errorf("list neighbours of interface %d: %w", ifindex, err)
	}
	var all []*entry
	for _, msg := range answers {
		e, err := parseEntry(msg)
		if err != nil {
			return nil, err
		}
		if e.ifindex == ifindex && e.addr.IsValid() {
			all = append(all, e)
		}
	}
	return all, nil
}

// forget removes from a device the neighbours that are ours.
func forget(ctx context.Context, ifindex int) error {
	all, err := neighbours(ifindex)
	if err != nil {
		return err
	}
	for _, e := range all {
		if !e.ours() {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := e.remove(); err != nil {
			return err
		}
	}
	return nil
}
