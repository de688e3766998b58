// SPDX-License-Identifier: Apache-2.0

package host

import (
	"net/netip"
	"slices"

	"google.golang.org/protobuf/proto"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// lend: the kernel tells neither the networks of addresses nor anything of the workload's side.
func lend(foreign, want *pb.LocalEndpoint) *pb.LocalEndpoint {
	m := proto.CloneOf(foreign)
	if !m.GetStatus().GetAdopted() {
		m.Place, m.Interface, m.Routes, m.NoRoutes = want.Place, want.Interface, want.Routes, want.NoRoutes
	}
	for i, a := range m.Addresses {
		for _, w := range want.Addresses {
			p, q := netip.MustParsePrefix(a), netip.MustParsePrefix(w) // both were checked
			if p.Addr() == q.Addr() {
				m.Addresses[i] = w
			}
		}
	}
	return m
}

// localFits compares what the kernel tells; what was left open fits.
func localFits(want, have *pb.LocalEndpoint) bool {
	st := have.Status
	given := func(asked, is string) bool { return asked == "" || asked == is }
	name := want.HostInterface
	if want.GetAdopt() != "" {
		name = want.GetAdopt()
	}
	return want.Vni == have.Vni && want.Cookie == have.Cookie && want.Function == have.Function &&
		slices.Equal(sortedAddrs(want), sortedAddrs(have)) && slices.Equal(want.Allowed, have.Allowed) &&
		given(name, st.GetHostInterface()) && given(want.Mac, st.GetMac()) &&
		(want.Mtu == 0 || want.Mtu == st.GetMtu()) &&
		(want.Mode == pb.Mode_MODE_UNSPECIFIED || want.Mode == st.GetMode()) &&
		(want.GetAdopt() != "" || atBridge(want)) == st.GetAdopted()
}

func sortedAddrs(e *pb.LocalEndpoint) []netip.Addr {
	all := localAddrs(e)
	slices.SortFunc(all, netip.Addr.Compare)
	return all
}
