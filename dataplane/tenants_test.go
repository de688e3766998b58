// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/droplet"
	"github.com/mizar-go/mizar/endpoint"
	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/packet"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

// tenant is one owner of a VNI, while it has it.
type tenant struct {
	vni                    uint32
	secret, honest, forged string // what its own packets hold, and those of its attacker
	ns                     map[byte]*netns.Handle
	sniffers               []*sniffer
	askers                 []*asker
	stopAttack             func() int
}

// arena is two hosts with tenants, the bouncer of all of them, and a host that is none of the fleet.
type arena struct {
	*bounced
	outside *host
	forged  string // what packets hold that nobody may get
}

func newArena(t *testing.T, mode droplet.Mode) *arena {
	t.Helper()
	hosts, _ := newSwitched(t, 4)
	a := &arena{bounced: &bounced{hosts: hosts[:3], mode: mode}, outside: hosts[3], forged: rand.Text()}
	for _, h := range a.hosts {
		dp := h.open(t)
		for _, peer := range a.hosts {
			require.NoError(t, dp.Peer.Add(t.Context(), maps.Peer{Prefix: netip.PrefixFrom(peer.addr, 32)}))
		}
		_, err := dp.Droplet.Attach(t.Context(), droplet.Config{Interface: "eth0", Mode: mode})
		require.NoError(t, err)
		a.dps = append(a.dps, dp)
	}
	return a
}

var overlays = []netip.Prefix{overlay, netip.MustParsePrefix("2001:db8:7::/64")}

// places are where a tenant's endpoints live.
var places = map[byte]int{1: 0, 2: 1, attacker: 0}

// settle gives a VNI to a new tenant, whose attacker begins at once.
func (a *arena) settle(t *testing.T, vni, other uint32) *tenant {
	t.Helper()
	ctx := t.Context()
	n := &tenant{vni: vni, secret: rand.Text(), honest: rand.Text(), forged: a.forged, ns: make(map[byte]*netns.Handle)}
	bouncer := []netip.Addr{a.hosts[2].addr}
	for _, dp := range a.dps {
		require.NoError(t, dp.VPC.Add(ctx, maps.VPC{VNI: vni}))
		for _, p := range overlays {
			require.NoError(t, dp.Network.Add(ctx, maps.Network{VNI: vni, Prefix: p, Bouncers: bouncer}))
		}
	}
	for id, on := range places {
		n.ns[id] = testutil.NewNS(t)
		_, err := a.dps[on].Endpoint.Create(ctx, endpoint.Config{
			VNI: vni, Addrs: []netip.Prefix{netip.PrefixFrom(addr4(id), 24), netip.PrefixFrom(addr6(id), 64)},
			MAC: mac(id), NetNS: endpoint.FD(n.ns[id].FD()), HostInterface: fmt.Sprintf("mz%d-%d", vni, id),
			Mode: agentMode(a.mode),
		})
		require.NoError(t, err)
		n.sniffers = append(n.sniffers, startSniffer(t, n.ns[id], "eth0", own(n.secret, n.honest)))
		for _, addr := range []netip.Addr{addr4(id), addr6(id)} {
			require.NoError(t, a.dps[2].Endpoint.Add(ctx, maps.Endpoint{VNI: vni, Addr: addr, Host: a.hosts[on].addr}))
		}
	}
	var fleet []netip.Addr
	for _, h := range a.hosts {
		fleet = append(fleet, h.addr)
	}
	n.stopAttack = flood(t, n.ns[attacker], "eth0", tenantAttack(t, fleet, other, n.honest, n.forged))
	for _, addr := range []netip.Addr{addr4(2), addr6(2)} {
		n.askers = append(n.askers, startAsker(t, n.ns[1], n.ns[2], addr, n.secret, n.honest))
	}
	for _, q := range n.askers {
		q.answers(t, 20)
	}
	return n
}

// leave takes everything from a tenant, in either order, and looks at what it got.
func (a *arena) leave(t *testing.T, n *tenant, vpcFirst bool) {
	t.Helper()
	ctx := t.Context()
	vpc := func() {
		for _, dp := range a.dps {
			require.NoError(t, dp.VPC.Remove(ctx, n.vni))
			for _, p := range overlays {
				require.NoError(t, dp.Network.Remove(ctx, maps.NetworkKey{VNI: n.vni, Prefix: p}))
			}
		}
	}
	if vpcFirst {
		vpc()
	}
	for id, on := range places {
		require.NoError(t, a.dps[on].Endpoint.Delete(ctx, fmt.Sprintf("mz%d-%d", n.vni, id)))
		for _, addr := range []netip.Addr{addr4(id), addr6(id)} {
			require.NoError(t, a.dps[2].Endpoint.Remove(ctx, maps.EndpointKey{VNI: n.vni, Addr: addr}))
		}
	}
	if !vpcFirst {
		vpc()
	}
	n.end(t)
}

// end looks at what a tenant got.
func (n *tenant) end(t *testing.T) {
	t.Helper()
	require.NotZero(t, n.stopAttack())
	for _, q := range n.askers {
		q.stop(t, false)
	}
	for _, s := range n.sniffers {
		frames, err := s.stop()
		require.NoError(t, err)
		require.NotZero(t, frames)
	}
}

// TestT9TwoTenantsApart: two tenants have the same addresses and MACs on the same hosts. In each an endpoint
// forges all it can, and so does a host on the underlay, while one VNI changes hands over and over. Nobody
// gets what is not its own tenant's, nor a tenant what was sent to the one before it; and the tenant that
// stays loses nothing.
func TestT9TwoTenantsApart(t *testing.T) {
	inEachMode(t, testTwoTenants)
}

func testTwoTenants(t *testing.T, mode droplet.Mode) {
	const blue, red = 7, 8
	a := newArena(t, mode)
	defer func() {
		if t.Failed() {
			logCounters(t, a.hosts...)
		}
	}()
	var macs []net.HardwareAddr
	for _, h := range a.hosts {
		macs = append(macs, linkMAC(t, h.ns, "eth0"))
	}
	outside := linkMAC(t, a.outside.ns, "eth0")
	listener := startSniffer(t, a.outside.ns, "eth0", func(frame []byte) error {
		d, err := packet.Decode(frame)
		if err == nil && d.Tunnel() && bytes.Equal(frame[:6], outside) {
			return errors.New("a tunnel packet to the attacker")
		}
		return nil
	})
	stopOutside := flood(t, a.outside.ns, "eth0", underlayAttack(t, a.outside, a.hosts, macs, []uint32{blue, red}, a.forged))

	stays := a.settle(t, blue, red)
	// From here on it may lose nothing.
	for _, q := range stays.askers {
		q.stop(t, false)
	}
	stays.askers = nil
	for _, addr := range []netip.Addr{addr4(2), addr6(2)} {
		stays.askers = append(stays.askers, startAsker(t, stays.ns[1], stays.ns[2], addr, stays.secret, stays.honest))
	}
	s := startStreamOf(t, stays.ns[1], stays.ns[2], addr4(2), func(at int64) byte { return stays.secret[at%int64(len(stays.secret))] })

	owners := 0
	for begin := time.Now(); owners < 4 || time.Since(begin) < 4*time.Second; owners++ {
		n := a.settle(t, red, blue)
		s.flows(t)
		a.leave(t, n, owners%2 == 0)
	}
	t.Logf("%d owners of one VNI", owners)
	s.flows(t)
	s.end(t)
	for _, q := range stays.askers {
		q.stop(t, true)
	}
	stays.askers = nil
	require.NotZero(t, stopOutside())
	_, err := listener.stop()
	require.NoError(t, err)
	// All of it was tried; what is honest among it arrived, so that forging is all that stood in the way.
	for _, reason := range []bpf.TableReason{
		bpf.TableReasonREASON_DELIVER_LOCAL,
		bpf.TableReasonDROP_SPOOF_MAC, bpf.TableReasonDROP_SPOOF_ADDRESS, bpf.TableReasonDROP_SPOOF_NEIGHBOUR,
		bpf.TableReasonDROP_ROUTER_ADVERT, bpf.TableReasonDROP_INNER_VLAN, bpf.TableReasonDROP_INNER_ETHERTYPE,
		bpf.TableReasonDROP_INNER_MAPPED, bpf.TableReasonDROP_MULTICAST, bpf.TableReasonDROP_NO_NETWORK,
		bpf.TableReasonDROP_PEER, bpf.TableReasonDROP_OUTER_SOURCE, bpf.TableReasonDROP_OUTER_FRAGMENT,
	} {
		require.NotZero(t, a.count(t, 0, reason)+a.count(t, 2, reason), reason)
	}
	stays.end(t)
	a.destroy(t)
}
