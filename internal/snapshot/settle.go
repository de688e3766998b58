// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// settled tells whether the kernel's work queues are done with the thread's namespace: whether all
// interfaces that have a carrier are taken to be running, and the others not, and whether packets to all
// IPv6 addresses are delivered.
func settled() error {
	all, err := netlink.LinkList()
	if err != nil {
		return err
	}
	for _, l := range all {
		flags := l.Attrs().RawFlags
		if flags&unix.IFF_LOWER_UP != 0 == (flags&unix.IFF_RUNNING != 0) {
			continue
		}
		// To be asked about this one alone has the kernel look at it now (6.8).
		if _, err := netlink.LinkByIndex(l.Attrs().Index); err != nil {
			return err
		}
		return fmt.Errorf("%s is %s, with flags %#x", l.Attrs().Name, l.Attrs().OperState, flags)
	}
	addrs, err := netlink.AddrList(nil, netlink.FAMILY_V6)
	if err != nil {
		return err
	}
	for _, a := range addrs {
		if a.IP.IsLinkLocalUnicast() {
			continue
		}
		up := false
		for _, l := range all {
			up = up || l.Attrs().Index == a.LinkIndex && l.Attrs().RawFlags&unix.IFF_RUNNING != 0
		}
		if !up {
			continue
		}
		if a.Flags&unix.IFA_F_TENTATIVE != 0 {
			return fmt.Errorf("%s is tentative", a.IPNet)
		}
		// All routes to the address itself: the one that comes late is local.
		local, err := netlink.RouteListFiltered(netlink.FAMILY_V6,
			&netlink.Route{Table: unix.RT_TABLE_LOCAL, LinkIndex: a.LinkIndex, Type: unix.RTN_LOCAL},
			netlink.RT_FILTER_TABLE|netlink.RT_FILTER_OIF|netlink.RT_FILTER_TYPE)
		if err != nil {
			return err
		}
		found := false
		for _, r := range local {
			found = found || r.Dst != nil && r.Dst.IP.Equal(a.IP)
		}
		if !found {
			return fmt.Errorf("%s has no route yet", a.IPNet)
		}
	}
	return nil
}
