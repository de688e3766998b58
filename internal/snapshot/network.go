// SPDX-License-Identifier: Apache-2.0

package snapshot

import (
	"fmt"
	"maps"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/internal/ethtool"
)

func links() (lines []string, err error) {
	all, err := netlink.LinkList()
	if err != nil {
		return nil, err
	}
	for _, l := range all {
		a := l.Attrs()
		more, err := device(l)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", a.Name, err)
		}
		lines = append(lines, more...)
	}
	return lines, nil
}

// device describes an interface and what hangs on it.
func device(l netlink.Link) (lines []string, err error) {
	a := l.Attrs()
	say := func(format string, args ...any) {
		lines = append(lines, fmt.Sprintf("link %s ", a.Name)+fmt.Sprintf(format, args...))
	}
	say("%d %s %s mtu %d flags %s/%#x promiscuous %d all multicast %d oper %s alias %q %v group %d master %d",
		a.Index, l.Type(), a.HardwareAddr, a.MTU, a.Flags, a.RawFlags, a.Promisc, a.Allmulti, a.OperState, a.Alias,
		a.AltNames, a.Group, a.MasterIndex)
	say("queue %d, %d, %d gso %d, %d, %d, %d gro %d, %d tso %d, %d peer %d@%d", a.TxQLen, a.NumTxQueues, a.NumRxQueues,
		a.GSOMaxSize, a.GSOIPv4MaxSize, a.GSOMaxSegs, a.TSOMaxSize, a.GROMaxSize, a.GROIPv4MaxSize, a.TSOMaxSize,
		a.TSOMaxSegs, a.ParentIndex, a.NetNsID)
	if a.Xdp != nil {
		say("XDP %+v", *a.Xdp)
	}
	features, err := ethtool.Get(a.Name)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(features)) {
		say("feature %s %+v", name, features[name])
	}
	qdiscs, err := netlink.QdiscList(l)
	if err != nil {
		return nil, err
	}
	for _, q := range qdiscs {
		say("qdisc %s %s", q.Type(), q)
	}
	for _, parent := range []uint32{netlink.HANDLE_MIN_INGRESS, netlink.HANDLE_MIN_EGRESS} {
		filters, err := netlink.FilterList(l, parent)
		if err != nil {
			return nil, err
		}
		for _, f := range filters {
			say("filter %s %s", f.Type(), f.Attrs())
		}
	}
	for _, hook := range []ebpf.AttachType{ebpf.AttachTCXIngress, ebpf.AttachTCXEgress} {
		tcx, err := link.QueryPrograms(link.QueryOptions{Target: a.Index, Attach: hook})
		if err != nil {
			continue // before 6.6, where it is filters
		}
		for _, p := range tcx.Programs {
			say("%s %d", hook, p.ID)
		}
	}
	return lines, nil
}

func addresses() (lines []string, err error) {
	all, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, err
	}
	for _, a := range all {
		if a.IP.IsLinkLocalUnicast() {
			a.Flags &^= unix.IFA_F_TENTATIVE
		}
		lines = append(lines, fmt.Sprintf("address %d %s flags %#x scope %d label %s broadcast %s peer %s",
			a.LinkIndex, a.IPNet, a.Flags, a.Scope, a.Label, a.Broadcast, a.Peer))
	}
	return lines, nil
}

func routes() (lines []string, err error) {
	all, err := netlink.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return nil, err
	}
	for _, r := range all {
		if r.Type == unix.RTN_LOCAL && r.Dst.IP.IsLinkLocalUnicast() {
			continue // comes with the end of duplicate detection
		}
		lines = append(lines, fmt.Sprintf("route %s table %d type %d protocol %s scope %s priority %d family %d mtu %d",
			r, r.Table, r.Type, r.Protocol, r.Scope, r.Priority, r.Family, r.MTU))
	}
	return lines, nil
}

func rules() (lines []string, err error) {
	all, err := netlink.RuleList(netlink.FAMILY_ALL)
	if err != nil {
		return nil, err
	}
	for _, r := range all {
		lines = append(lines, fmt.Sprintf("rule %s family %d mark %d", r, r.Family, r.Mark))
	}
	return lines, nil
}

// neighbours are those that do not come and go by themselves.
func neighbours() (lines []string, err error) {
	for _, flags := range []uint8{0, netlink.NTF_PROXY} {
		all, err := netlink.NeighListExecute(netlink.Ndmsg{Flags: flags})
		if err != nil {
			return nil, err
		}
		for _, n := range all {
			const entered = netlink.NTF_EXT_LEARNED | netlink.NTF_PROXY
			if n.State&netlink.NUD_PERMANENT == 0 && n.Flags&entered == 0 && n.FlagsExt == 0 {
				continue
			}
			lines = append(lines, fmt.Sprintf("neighbour %d %s flags %#x, %#x permanent %t", n.LinkIndex, n.IP, n.Flags,
				n.FlagsExt, n.State&netlink.NUD_PERMANENT != 0))
		}
	}
	return lines, nil
}
