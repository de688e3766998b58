// SPDX-License-Identifier: Apache-2.0

package server

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/examples/internal/lab"
	"github.com/mizar-go/mizar/examples/transitd/internal/host"
	"github.com/mizar-go/mizar/examples/transitd/internal/ovs/ovstest"
	"github.com/mizar-go/mizar/internal/ethtool"
	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/testutil"
)

// tenant is the state that both hosts share, less their endpoints.
const tenant = `"peers":[{"prefix":"192.0.2.0/24"}], "droplets":[{"interface":"eth0"}], "vpcs":[{"vni":7}],
	"networks":[{"vni":7,"prefix":"10.0.0.0/24","bouncers":["192.0.2.2"]}]`

// behindBridge checks, by the API alone, that a workload behind a bridge of host a reaches an endpoint of host b: put
// makes it a port of the bridge, place is where its endpoint is. harm breaks the port while the daemon is away, whileUp
// while it runs.
func behindBridge(t *testing.T, a, b *served, place, more string, put func(port string), harm, whileUp func()) {
	t.Helper()
	workload := testutil.NewNS(t)
	testutil.Veth(t, a.ns, "w1", workload, "eth0")
	// It is at a datapath in user space, perhaps, and has to send whole packets.
	testutil.In(t, workload, func() error {
		return ethtool.Set("eth0", map[string]bool{"tx-checksum-ip-generic": false, "tx-tcp-segmentation": false, "tx-tcp6-segmentation": false, "tx-udp-segmentation": false})
	})
	testutil.Up(t, a.ns, "w1")
	testutil.Up(t, workload, "eth0")
	testutil.MTU(t, workload, 1426, "eth0")
	testutil.Addr(t, workload, "eth0", "10.0.0.1/24")
	mac := testutil.Link(t, workload, "eth0").Attrs().HardwareAddr
	put("w1")

	name := fmt.Sprintf("mizar-test-%s", filepath.Base(filepath.Dir(t.TempDir())))
	far, err := lab.NewNamed(name)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, lab.RemoveNamed(name)) })
	t.Cleanup(func() { require.NoError(t, far.Close()) })

	b.apply(fmt.Sprintf(`{%s, "localEndpoints":[{"vni":7,"addresses":["10.0.0.9/24"],"netns":%q}],
		"endpoints":[{"vni":7,"address":"10.0.0.1","host":"192.0.2.1"}]}`, tenant, name))
	state := fmt.Sprintf(`{%s, %s "localEndpoints":[{"vni":7,"addresses":["10.0.0.1/24"],"mac":"%s","mtu":1426,%s}],
		"endpoints":[{"vni":7,"address":"10.0.0.9","host":"192.0.2.2"}]}`, tenant, more, mac, place)
	require.True(t, a.apply(state).Changed)
	reaches := func() {
		t.Helper()
		testutil.Eventually(t, 10*time.Second, func() error {
			if r := testutil.Ping(t, workload, netip.Addr{}, netip.MustParseAddr("10.0.0.9"), 1, time.Second); r.Lost > 0 {
				return fmt.Errorf("no answer: %v", r.Errors)
			}
			return nil
		})
		r := testutil.Ping(t, workload, netip.Addr{}, netip.MustParseAddr("10.0.0.9"), 5, time.Second)
		require.Zero(t, r.Lost, "%v", r.Errors)
	}
	reaches()
	require.False(t, a.apply(state).Changed, "the same again")
	require.Empty(t, a.health().Problems)

	// What somebody else breaks, the next start mends, and says so.
	a.stop()
	harm()
	require.NotZero(t, testutil.Ping(t, workload, netip.Addr{}, netip.MustParseAddr("10.0.0.9"), 1, 300*time.Millisecond).Lost)
	a.start()
	require.Len(t, a.health().Repairs, 1)
	require.Empty(t, a.health().Repairs[0].Error)
	require.Contains(t, a.health().Repairs[0].Step.Detail, "port")
	require.Empty(t, a.health().Problems)
	reaches()
	whileUp()
	reaches()

	require.True(t, a.apply(`{}`).Changed)
	require.NotZero(t, testutil.Ping(t, workload, netip.Addr{}, netip.MustParseAddr("10.0.0.9"), 1, 300*time.Millisecond).Lost)
	b.apply(`{}`)
	testutil.Delete(t, a.ns, "w1")
}

func TestBehindBridge(t *testing.T) {
	a, b := twoHosts(t, nil)
	behindBridge(t, a, b, `"bridge":{"bridge":"br0"}, "hostInterface":"ep1", "interface":"ep1b"`, `"bridges":[{"name":"br0","ports":["w1"]}],`,
		func(string) {}, func() { testutil.Down(t, a.ns, "ep1") }, func() {})
}

// Open vSwitch is somebody else's: its bridge and the workload's port are there before.
func TestBehindOpenVSwitch(t *testing.T) {
	var sw *ovstest.Switch
	a, b := twoHosts(t, func(ns *netns.Handle) host.Options {
		sw = ovstest.Start(t, ns.Do)
		sw.Bridge("br0")
		return host.Options{OVS: sw.Socket()}
	})
	behindBridge(t, a, b, `"ovs":{"bridge":"br0","workloadPort":"w1"}`, "",
		func(port string) { sw.Vsctl("add-port", "br0", port) },
		func() { sw.StopDaemon(); sw.StartDaemon() }, func() {
			sw.StopDaemon()
			sw.StartDaemon()
			sw.Vsctl("set", "bridge", "br0", "external_ids:seen=again") // it waits until that is so
			// Without its flows the port is one that learns, and the ping would get through all the same.
			testutil.Eventually(t, 10*time.Second, func() error {
				if flows := sw.Ofctl("dump-flows", "br0", "--no-stats"); !strings.Contains(flows, "in_port") {
					return errors.New("no flows: " + flows)
				}
				return nil
			})
		})
	require.NotContains(t, sw.Vsctl("list-ports", "br0"), "td", "its port is gone")
	sw.Vsctl("del-port", "w1")
}
