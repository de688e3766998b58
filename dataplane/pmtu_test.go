// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/droplet"
	"github.com/mizar-go/mizar/endpoint"
	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

// TestT12PathMTULearned: a router between two hosts has a narrower way on. It tells the sending host, which
// tells the workload, whose TCP goes on.
func TestT12PathMTULearned(t *testing.T) {
	inEachMode(t, func(t *testing.T, mode droplet.Mode) {
		const narrow = 1400
		bpffs, router := testutil.BPFFS(t), testutil.NewNS(t)
		hosts, workloads := []*host{}, []*netns.Handle{testutil.NewNS(t), testutil.NewNS(t)}
		addrs := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.1")}
		gateways := []string{"192.0.2.254", "198.51.100.254"}
		testutil.Sysctl(t, router, "net/ipv4/ip_forward", "1")
		for i, port := range []string{"to0", "to1"} {
			h := &host{ns: testutil.NewNS(t), bpffs: bpffs, name: string(rune('a' + i)), addr: addrs[i]}
			hosts = append(hosts, h)
			testutil.Veth(t, router, port, h.ns, "eth0")
			likeNIC(t, router, port)
			testutil.Addr(t, router, port, gateways[i]+"/24")
			testutil.Addr(t, h.ns, "eth0", h.addr.String()+"/24")
			testutil.Up(t, router, port)
			testutil.Up(t, h.ns, "eth0")
			testutil.Route(t, h.ns, "eth0", "0.0.0.0/0", gateways[i])
		}
		testutil.MTU(t, router, narrow, "to1")
		for i, h := range hosts {
			testutil.Ready(t, h.ns, "eth0")
			ctx, dp := t.Context(), h.open(t)
			_, err := dp.Droplet.Attach(ctx, droplet.Config{Interface: "eth0", Mode: mode})
			require.NoError(t, err)
			require.NoError(t, dp.Peer.Add(ctx, maps.Peer{Prefix: netip.PrefixFrom(addrs[1-i], 32)}))
			require.NoError(t, dp.VPC.Add(ctx, maps.VPC{VNI: vni}))
			_, err = dp.Endpoint.Create(ctx, endpoint.Config{
				VNI: vni, Addrs: []netip.Prefix{netip.PrefixFrom(addr4(byte(i+1)), 24)},
				NetNS: endpoint.FD(workloads[i].FD()), Mode: agentMode(mode),
			})
			require.NoError(t, err)
			require.NoError(t, dp.Endpoint.Add(ctx, maps.Endpoint{VNI: vni, Addr: addr4(byte(2 - i)), Host: addrs[1-i]}))
			require.NoError(t, dp.Close())
		}
		requireReachable(t, workloads[0], addr4(2))
		big := testutil.PingConfig{Dst: addr4(2), Count: 1, Size: narrow - 40, DontFragment: true, Timeout: 100 * time.Millisecond}
		testutil.Eventually(t, patience, func() error {
			r := testutil.StartPing(t, workloads[0], big).Wait()
			if len(r.Errors) == 0 {
				return errors.New("nobody says that it is too big")
			}
			return nil
		})
		server := testutil.EchoTCP(t, workloads[1], netip.AddrPortFrom(addr4(2), 0))
		c, err := testutil.DialTCP(t, workloads[0], netip.Addr{}, server, patience)
		require.NoError(t, err)
		require.NoError(t, testutil.Exchange(c, 1<<20, patience))
		require.NoError(t, c.Close())
		for _, h := range hosts {
			h.destroy(t)
		}
	})
}
