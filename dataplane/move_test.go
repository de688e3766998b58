// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
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
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

// bounced is hosts on a switch of which the last is the bouncer of the one network, and knows where every
// endpoint lives. The others know their own.
type bounced struct {
	hosts []*host
	dps   []*Dataplane
	mode  droplet.Mode
}

func newBounced(t *testing.T, mode droplet.Mode, n int, vpc maps.VPC) *bounced {
	t.Helper()
	b := &bounced{mode: mode}
	b.hosts, _ = newSwitched(t, n)
	ctx := t.Context()
	for _, h := range b.hosts {
		dp := h.open(t)
		require.NoError(t, dp.Peer.Add(ctx, maps.Peer{Prefix: underlay}))
		_, err := dp.Droplet.Attach(ctx, droplet.Config{Interface: "eth0", Mode: mode})
		require.NoError(t, err)
		require.NoError(t, dp.VPC.Add(ctx, vpc))
		require.NoError(t, dp.Network.Add(ctx, maps.Network{
			VNI: vpc.VNI, Prefix: overlay, Bouncers: []netip.Addr{b.hosts[n-1].addr},
		}))
		b.dps = append(b.dps, dp)
	}
	return b
}

// create makes an endpoint on a host, and tells the bouncer.
func (b *bounced) create(t *testing.T, on int, addr netip.Addr, mac net.HardwareAddr, workload *netns.Handle) *endpoint.Endpoint {
	t.Helper()
	e, err := b.dps[on].Endpoint.Create(t.Context(), endpoint.Config{
		VNI: vni, Addrs: []netip.Prefix{netip.PrefixFrom(addr, 24)}, NetNS: endpoint.FD(workload.FD()),
		MAC: mac, Mode: agentMode(b.mode),
	})
	require.NoError(t, err)
	require.NoError(t, b.dps[len(b.dps)-1].Endpoint.Add(t.Context(), maps.Endpoint{VNI: vni, Addr: addr, Host: b.hosts[on].addr}))
	return e
}

func (b *bounced) count(t *testing.T, on int, reason bpf.TableReason) uint64 {
	t.Helper()
	for _, c := range collect(t, b.dps[on].Stats.Counters(t.Context())) {
		if c.Reason == reason {
			return c.Packets
		}
	}
	return 0
}

func (b *bounced) destroy(t *testing.T) {
	t.Helper()
	for _, dp := range b.dps {
		require.NoError(t, dp.Destroy(t.Context()))
	}
	require.Empty(t, b.hosts[0].files(t))
}

// direct waits until a host has learned where an address lives.
func (b *bounced) direct(t *testing.T, on int, addr netip.Addr, lives int) {
	t.Helper()
	testutil.Eventually(t, patience, func() error {
		d, err := b.dps[on].rows.Directs.Get(maps.EndpointKey{VNI: vni, Addr: addr})
		if err == nil && d.Host != b.hosts[lives].addr {
			err = fmt.Errorf("%s is at %s", addr, d.Host)
		}
		return err
	})
}

// TestMovedEndpointUnderTraffic: an endpoint moves to another host, of which the bouncer hears and the
// sender's host does not. A stream goes on: the old host returns what comes straight to it, the sender's
// sends that again by the bouncer, and then straight to the new host.
func TestMovedEndpointUnderTraffic(t *testing.T) {
	inEachMode(t, testMovedEndpoint)
}

func testMovedEndpoint(t *testing.T, mode droplet.Mode) {
	const sender, before, after, bouncer = 0, 1, 2, 3
	b := newBounced(t, mode, 4, maps.VPC{VNI: vni})
	defer func() {
		if t.Failed() {
			logCounters(t, b.hosts...)
		}
	}()
	web, moving := testutil.NewNS(t), testutil.NewNS(t)
	here, there := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 2}
	b.create(t, sender, here, nil, web)
	e := b.create(t, before, there, mac, moving)
	requireReachable(t, web, there)
	s := startStream(t, web, moving, there)
	b.direct(t, sender, there, before)
	p := testutil.StartPing(t, web, testutil.PingConfig{Dst: there, Interval: 5 * time.Millisecond, Timeout: time.Second})
	s.flows(t)
	require.Zero(t, b.count(t, before, bpf.TableReasonREASON_RETURN))
	require.Zero(t, b.count(t, sender, bpf.TableReasonREASON_REROUTE))

	require.NoError(t, b.dps[before].Endpoint.Delete(t.Context(), e.HostInterface))
	b.create(t, after, there, mac, moving)
	moved := testutil.StartPing(t, web, testutil.PingConfig{Dst: there, Interval: 5 * time.Millisecond, Timeout: patience})
	s.flows(t)
	b.direct(t, sender, there, after)
	require.NotZero(t, b.count(t, before, bpf.TableReasonREASON_RETURN))
	require.NotZero(t, b.count(t, sender, bpf.TableReasonREASON_REROUTE))

	// Straight to the new host now: nothing goes by the others.
	type counts struct{ returned, rerouted, bounced uint64 }
	read := func() counts {
		return counts{b.count(t, before, bpf.TableReasonREASON_RETURN), b.count(t, sender, bpf.TableReasonREASON_REROUTE),
			b.count(t, bouncer, bpf.TableReasonREASON_BOUNCE)}
	}
	settled, delivered := read(), b.count(t, after, bpf.TableReasonREASON_DELIVER)
	s.flows(t)
	require.Equal(t, settled, read())
	require.Greater(t, b.count(t, after, bpf.TableReasonREASON_DELIVER), delivered)

	r := moved.Stop()
	require.Zero(t, r.Lost, "after the bouncer knew: %v", r.Errors)
	require.Greater(t, r.Sent, 10)
	r = p.Stop()
	t.Logf("of %d pings %d were lost on the move: %v", r.Sent, r.Lost, r.Errors)
	s.end(t)
	b.destroy(t)
}

// TestBouncedOneByOne: with no direct path, every packet goes by the bouncer and arrives by itself: none
// waits in a ring for the next.
func TestBouncedOneByOne(t *testing.T) {
	inEachMode(t, func(t *testing.T, mode droplet.Mode) {
		b := newBounced(t, mode, 3, maps.VPC{VNI: vni, NoDirectPath: true})
		web, far := testutil.NewNS(t), testutil.NewNS(t)
		here, there := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
		b.create(t, 0, here, nil, web)
		b.create(t, 1, there, nil, far)
		requireReachable(t, web, there)
		before := b.count(t, 2, bpf.TableReasonREASON_BOUNCE)
		r := testutil.Ping(t, web, here, there, 50, 2*time.Second)
		require.Zero(t, r.Lost, r.Errors)
		require.GreaterOrEqual(t, b.count(t, 2, bpf.TableReasonREASON_BOUNCE), before+2*50)
		b.destroy(t)
	})
}
