// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/internal/ethtool"
	"github.com/mizar-go/mizar/internal/netns"
)

// snapshot is all that an endpoint may leave behind, as lines that can be compared.
func (r *rig) snapshot(namespaces ...*netns.Handle) []string {
	r.t.Helper()
	lines := []string{"pins"}
	lines = append(lines, pins(r.t, r.pins)...)
	lines = append(lines, rows(r.t, r.raw)...)
	for i, ns := range append([]*netns.Handle{r.host}, namespaces...) {
		lines = append(lines, fmt.Sprintf("namespace %d", i))
		require.NoError(r.t, ns.Do(func() error {
			more, err := network()
			lines = append(lines, more...)
			return err
		}))
	}
	return lines
}

func pins(t testing.TB, dir string) (lines []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		lines = append(lines, path)
		return err
	}))
	return lines
}

// rows are those of all tables, but for counts.
func rows(t testing.TB, tables *bpf.Tables) (lines []string) {
	t.Helper()
	require.NoError(t, tables.Each(func(name string, m *ebpf.Map) error {
		switch m.Type() {
		case ebpf.PerCPUArray, ebpf.RingBuf:
			return nil
		}
		var k, v []byte
		all := m.Iterate()
		for all.Next(&k, &v) {
			lines = append(lines, fmt.Sprintf("%s %x: %x", name, k, v))
		}
		return all.Err()
	}))
	slices.Sort(lines)
	return lines
}

// network describes the thread's namespace.
func network() (lines []string, err error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, err
	}
	for _, l := range links {
		a := l.Attrs()
		lines = append(lines, fmt.Sprintf("link %d %s %s %s mtu %d flags %s/%#x oper %s master %d queue %d gso %d gro %d peer %d@%d xdp %v",
			a.Index, a.Name, l.Type(), a.HardwareAddr, a.MTU, a.Flags, a.RawFlags, a.OperState, a.MasterIndex, a.TxQLen,
			a.GSOMaxSize, a.GROMaxSize, a.ParentIndex, a.NetNsID, a.Xdp))
		features, err := ethtool.Get(a.Name)
		if err != nil {
			return nil, err
		}
		for _, name := range slices.Sorted(maps.Keys(features)) {
			lines = append(lines, fmt.Sprintf("feature %s %s %+v", a.Name, name, features[name]))
		}
		qdiscs, err := netlink.QdiscList(l)
		if err != nil {
			return nil, err
		}
		for _, q := range qdiscs {
			lines = append(lines, fmt.Sprintf("qdisc %s %s", a.Name, q))
		}
		// Before 6.6 clsact's filters show as its qdisc.
		if tcx, err := link.QueryPrograms(link.QueryOptions{Target: a.Index, Attach: ebpf.AttachTCXIngress}); err == nil {
			for _, p := range tcx.Programs {
				lines = append(lines, fmt.Sprintf("tcx %s %d", a.Name, p.ID))
			}
		}
	}
	addrs, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, err
	}
	for _, a := range addrs {
		lines = append(lines, fmt.Sprintf("address %d %s flags %#x scope %d", a.LinkIndex, a.IPNet, a.Flags, a.Scope))
	}
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return nil, err
	}
	for _, r := range routes {
		lines = append(lines, fmt.Sprintf("route %s table %d", r, r.Table))
	}
	slices.Sort(lines)
	return lines, nil
}
