// SPDX-License-Identifier: Apache-2.0

package host_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/examples/transitd/internal/host"
	"github.com/mizar-go/mizar/examples/transitd/internal/ovs/ovstest"
	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/testutil"
)

// tenants is what states share that differ in endpoints at bridges.
const tenants = `"peers":[{"prefix":"192.0.2.0/24"}], "droplets":[{"interface":"eth0"}], "vpcs":[{"vni":7,"dividers":["192.0.2.2"]}],
	"networks":[{"vni":7,"prefix":"10.0.0.0/24","bouncers":["192.0.2.2"]}], "endpoints":[{"vni":7,"address":"10.0.0.9","host":"192.0.2.2"}]`

// local is an endpoint of a state.
func local(last int, place string) string {
	return fmt.Sprintf(`{"vni":7,"addresses":["10.0.0.%d/24"],"mac":"02:00:00:00:00:%02x",%s}`, last, last, place)
}

// behind is a workload behind a bridge: the other end of port, with address and MAC of local.
func (k *killer) behind(t *testing.T, port string, last int) *netns.Handle {
	t.Helper()
	ns := testutil.NewNS(t)
	testutil.Veth(t, k.w.Here(), port, ns, "eth0")
	mac := fmt.Sprintf("02:00:00:00:00:%02x", last)
	setMAC(t, ns, "eth0", mac)
	testutil.Up(t, k.w.Here(), port)
	testutil.MTU(t, ns, 1426, "eth0")
	testutil.Up(t, ns, "eth0")
	testutil.Addr(t, ns, "eth0", fmt.Sprintf("10.0.0.%d/24", last))
	return ns
}

// TestKilledWithBridges is TestKilledDuringApply of endpoints that are ports of Linux bridges: they come, go, move from
// one bridge to another, to one that comes with them, and from a namespace to a bridge and back. One stays, and its
// packets get through.
func TestKilledWithBridges(t *testing.T) {
	k := newKiller(t, 4)
	k.rounds = 1
	testutil.Veth(t, k.w.Here(), "p1", k.w.Here(), "p2")
	k.near = k.behind(t, "w1", 1)
	name, other := host.Named(t, "other")
	inside := fmt.Sprintf(`"netns":%q,"hostInterface":"mzinside"`, name)
	const br0, br1, br2, br3 = `"bridge":{"bridge":"br0"}`, `"bridge":{"bridge":"br1"}`, `"bridge":{"bridge":"br2"}`, `"bridge":{"bridge":"br3"}`
	const made = `,"hostInterface":"mzmade","interface":"made"`
	state := func(bridges string, locals ...string) string {
		return fmt.Sprintf(`{%s, "bridges":[{"name":"br0","ports":["w1"]},%s], "localEndpoints":[%s,%s]}`,
			tenants, bridges, local(1, br0), strings.Join(locals, ","))
	}
	k.links = func() []string { return slices.Concat(linksOf(t, k.w.Here()), linksOf(t, other)) }
	a := host.State(t, "%s", state(`{"name":"br1","ports":["p1","p2"]},{"name":"br2","mtu":1400}`,
		local(2, br0), local(3, inside), local(4, br1), local(5, br0+made), local(6, br2), local(11, br1)))
	b := host.State(t, "%s", state(`{"name":"br1","ports":["p2"]},{"name":"br3","ports":["p1"]}`,
		local(2, br1), local(3, br0), local(4, inside), local(5, br1+made), local(7, br3), local(11, br3)))
	k.begin(t, a, b)
	f := startFlood(t, k.near, k.workload, "10.0.0.1", "10.0.0.9")
	k.run(t)
	k.noneLost(t, f)
	k.end(t)
}

// TestKilledWithSwitch is the same of bridges of Open vSwitch, which itself is killed, too, after the daemon was.
func TestKilledWithSwitch(t *testing.T) {
	k, sw := newSwitchKiller(t, 2)
	f := startFlood(t, k.near, k.workload, "10.0.0.1", "10.0.0.9")
	k.run(t)
	k.runSwitch(t, sw, k.kills/3) // few: it takes seconds, and TestHalfDone is of the same
	k.noneLost(t, f)
	k.end(t)
}

// newSwitchKiller has two states that differ in endpoints at Open vSwitch: with the workload's port and without, in VLANs,
// wired to another port, moved to another bridge, to one of Linux, to a namespace and back. One at a Linux bridge stays.
// Their host interfaces have names: one that is made up is kept where an Apply could not be undone, and who compares
// would not know it again.
func newSwitchKiller(t *testing.T, kills int) (*killer, *ovstest.Switch) {
	t.Helper()
	k := newKiller(t, kills)
	k.rounds = 1
	sw := ovstest.Start(t, k.w.Here().Do)
	k.p.ovs = sw.Socket()
	sw.Bridge("ovs0")
	sw.Bridge("ovs1")
	k.near = k.behind(t, "w1", 1)
	for _, last := range []int{2, 3, 4} {
		port := fmt.Sprintf("w%d", last)
		k.behind(t, port, last)
		sw.Vsctl("add-port", "ovs0", port)
	}
	name, other := host.Named(t, "other")
	at := func(bridge, more string) string { return fmt.Sprintf(`"ovs":{"bridge":%q%s}`, bridge, more) }
	const br0, made = `"bridge":{"bridge":"br0"}`, `,"hostInterface":"mzmade"`
	state := func(locals ...string) *pb.State {
		for i, e := range locals {
			if !strings.Contains(e, "hostInterface") {
				locals[i] = strings.TrimSuffix(e, "}") + fmt.Sprintf(`,"hostInterface":"mznamed%d"}`, i)
			}
		}
		return host.State(t, `{%s, "bridges":[{"name":"br0","ports":["w1"]}], "localEndpoints":[%s,%s]}`,
			tenants, local(1, br0), strings.Join(locals, ","))
	}
	k.links = func() []string {
		return slices.Concat(linksOf(t, k.w.Here()), linksOf(t, other), switchOf(sw, "ovs0", "ovs1"))
	}
	k.begin(t, state(
		local(2, at("ovs0", "")),
		local(3, at("ovs0", `,"workloadPort":"w3"`)),
		local(4, at("ovs0", `,"tag":5,"workloadPort":"w4"`)),
		local(5, at("ovs1", `,"tag":9`)),
		local(6, br0),
		local(7, fmt.Sprintf(`"netns":%q,"hostInterface":"mzinside"`, name)),
		local(8, at("ovs1", `,"tag":8`)+made),
	), state(
		local(2, at("ovs0", `,"workloadPort":"w2"`)),
		local(3, at("ovs0", `,"tag":7`)),
		local(4, at("ovs1", "")),
		local(5, br0),
		local(6, at("ovs0", `,"workloadPort":"w4"`)),
		local(7, at("ovs1", `,"tag":3`)),
		local(12, at("ovs0", `,"tag":8`)+made),
	))
	return k, sw
}
