// SPDX-License-Identifier: Apache-2.0

package host_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/examples/transitd/internal/host"
	"github.com/mizar-go/mizar/internal/testutil"
)

// between are two states that differ in whatever they can, but for what the flood needs.
func between(t testing.TB, flooded, other string) (a, b *pb.State) {
	t.Helper()
	common := fmt.Sprintf(`"droplets":[{"interface":"eth0","addresses":["192.0.2.1"]}], "networks":[{"vni":7,"prefix":"10.0.0.0/24","bouncers":["192.0.2.2"],"cookie":"%%d"}, %%s],
		"localEndpoints":[{"vni":7,"addresses":["10.0.0.1/24"],"netns":%q}, %%s], "functions":[{"name":"log","object":%q}, %%s]`, flooded, host.File("droplog"))
	second := func(addresses, mac string) string {
		return fmt.Sprintf(`{"vni":7,"addresses":[%s],"netns":%q,"mac":%q,"hostInterface":"mzsecond"}`, addresses, other, mac)
	}
	remotes := func(from int) (all string) {
		for i := range 40 {
			all += fmt.Sprintf(`,{"vni":7,"address":"10.0.0.%d","host":"192.0.2.%d"}`, 100+from+i, 2+(from+i)%2)
		}
		return all
	}
	peers := func(n int) (all string) { // too many of one state and of the other for the table
		for i := range 40 {
			all += fmt.Sprintf(`,{"prefix":"198.18.%d.0/24"}`, n+i)
		}
		return all
	}
	scope := func(point, more, functions string) string {
		return fmt.Sprintf(`{"scope":{"point":"STAGE_POINT_%s"%s},"functions":[%s]}`, point, more, functions)
	}
	a = host.State(t, `{`+common+`, "peers":[{"prefix":"192.0.2.0/24"}%s],
		"vpcs":[{"vni":7,"dividers":["192.0.2.2"],"cookie":"1"},{"vni":8}],
		"endpoints":[{"vni":7,"address":"10.0.0.9","host":"192.0.2.2"},{"vni":7,"address":"10.0.0.3","host":"192.0.2.2"}%s],
		"stages":[%s,%s,%s], "bridges":[{"name":"br0","ports":["p1"]},{"name":"br1","ports":["p2"]},{"name":"br2"}],
		"addresses":[{"interface":"eth0","address":"198.51.100.1/24"},{"interface":"br0","address":"2001:db8::1/64"}]}`,
		1, `{"vni":8,"prefix":"10.1.0.0/16","blackhole":true}`, second(`"10.0.0.2/24"`, "02:00:00:00:00:02"),
		fmt.Sprintf(`{"name":"lim","object":%q}`, host.File("limiter")), peers(0), remotes(0),
		scope("DROP", "", `"log"`), scope("SEND", `,"vni":8`, `"lim"`), scope("DROP", `,"vni":7,"address":"10.0.0.2"`, `"log"`))
	b = host.State(t, `{`+common+`, "peers":[{"prefix":"192.0.2.0/24","cookie":"4"}%s],
		"vpcs":[{"vni":7,"dividers":["192.0.2.2","192.0.2.3"],"cookie":"2"},{"vni":9}],
		"endpoints":[{"vni":7,"address":"10.0.0.9","host":"192.0.2.2"},{"vni":7,"address":"10.0.0.2","host":"192.0.2.2"}%s],
		"stages":[%s,%s], "routes":[{"destination":"203.0.113.0/24","via":"192.0.2.2"}],
		"bridges":[{"name":"br0","ports":["p2"]},{"name":"br1","ports":["p1"]}],
		"addresses":[{"interface":"eth0","address":"198.51.100.2/24"},{"interface":"br0","address":"2001:db8::1/48"}]}`,
		2, `{"vni":9,"prefix":"10.1.0.0/16","via":"10.1.0.1"}`, second(`"10.0.0.3/24","10.0.0.4/24"`, "02:00:00:00:00:03"),
		fmt.Sprintf(`{"name":"more","object":%q}`, host.File("droplog")), peers(40), remotes(20),
		scope("DROP", `,"vni":7`, `"log","more"`), scope("DROP", `,"vni":7,"address":"10.0.0.1"`, `"more"`))
	// What carries the flood changes, too, as far as that takes no interface away.
	b.Droplets[0].Cookie = 3
	b.LocalEndpoints[0].Cookie, b.LocalEndpoints[0].Allowed = 4, []string{"10.77.0.0/16"}
	return a, b
}

// TestKilledDuringApply: wherever in an Apply the daemon is killed, and the next ones as they start, one that lives has
// the host in the old state or in the new, as a whole: so it says itself, so says the kernel, and so does the journal. A
// flood of packets between endpoints of both loses none.
func TestKilledDuringApply(t *testing.T) {
	k := newKiller(t, 12)
	testutil.Veth(t, k.w.Here(), "p1", k.w.Here(), "p2")
	flooded, near := host.Named(t, "flooded")
	other, _ := host.Named(t, "other")
	a, b := between(t, flooded, other)
	k.begin(t, a, b)
	f := startFlood(t, near, k.workload, "10.0.0.1", "10.0.0.9")
	mended := k.run(t)
	k.noneLost(t, f)
	if k.kills >= 12 {
		require.NotZero(t, mended)
	}
	k.end(t)
}
