// SPDX-License-Identifier: Apache-2.0

package droplet

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/internal/ethtool"
	"github.com/mizar-go/mizar/internal/testutil"
)

// snapshot is all that a droplet may change on a host: interfaces with features, qdiscs, filters,
// programs and neighbours of ours; pins; every row of every table that packets do not write.
func (p *plane) snapshot(t *testing.T) map[string]string {
	t.Helper()
	s := make(map[string]string)
	testutil.In(t, p.ns, func() error {
		links, err := netlink.LinkList()
		if err != nil {
			return err
		}
		for _, l := range links {
			if err := snapshotLink(s, l); err != nil {
				return fmt.Errorf("%s: %w", l.Attrs().Name, err)
			}
		}
		return nil
	})
	require.NoError(t, filepath.WalkDir(p.dir, func(path string, _ fs.DirEntry, err error) error {
		s["pin "+path] = ""
		return err
	}))
	require.NoError(t, p.raw.Each(func(name string, m *ebpf.Map) error {
		switch name {
		case bpf.TableMapCounters, bpf.TableMapEvents, bpf.TableMapEventLimits, bpf.TableMapTraffic, bpf.TableMapDirects, bpf.TableMapPaths:
			return nil
		}
		var key, value []byte
		rows := m.Iterate()
		for rows.Next(&key, &value) {
			s[fmt.Sprintf("row %s %x", name, key)] = fmt.Sprintf("%x", value)
		}
		return rows.Err()
	}))
	return s
}

func snapshotLink(s map[string]string, l netlink.Link) error {
	a := l.Attrs()
	of := func(what string) string { return a.Name + " " + what }
	s[of("link")] = fmt.Sprint(a.Index, l.Type(), a.HardwareAddr, a.MTU, a.Flags, a.Promisc, a.Alias, a.MasterIndex,
		a.GSOMaxSize, a.GROMaxSize, a.TxQLen, a.NumTxQueues, a.NumRxQueues)
	if a.Xdp != nil {
		s[of("XDP")] = fmt.Sprintf("%+v", *a.Xdp)
	}
	features, err := ethtool.Get(a.Name)
	if err != nil {
		return err
	}
	for name, f := range features {
		s[of("feature "+name)] = fmt.Sprintf("%+v", f)
	}
	qdiscs, err := netlink.QdiscList(l)
	if err != nil {
		return err
	}
	for i, q := range qdiscs {
		s[of(fmt.Sprintf("qdisc %d", i))] = fmt.Sprint(q.Type(), q.Attrs())
	}
	filters, err := netlink.FilterList(l, netlink.HANDLE_MIN_INGRESS)
	if err != nil {
		return err
	}
	for i, f := range filters {
		s[of(fmt.Sprintf("filter %d", i))] = fmt.Sprint(f.Type(), f.Attrs())
	}
	tcx, err := link.QueryPrograms(link.QueryOptions{Target: a.Index, Attach: ebpf.AttachTCXIngress})
	if err != nil {
		return err
	}
	s[of("tcx")] = fmt.Sprintf("%+v", tcx.Programs)
	all, err := neighbours(a.Index)
	if err != nil {
		return err
	}
	for _, e := range all {
		if e.ours() {
			s[of("neighbour "+e.addr.String())] = ""
		}
	}
	return nil
}
