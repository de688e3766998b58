// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/droplet"
	"github.com/mizar-go/mizar/endpoint"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

// first is what an iterator yields at first.
func first[T any](items func(func(T, error) bool)) (T, error) {
	for item, err := range items {
		return item, err
	}
	var none T
	return none, nil
}

// calls are all that can be called on an open data-plane, by name.
func calls(ctx context.Context, dp *Dataplane) map[string]error {
	key := maps.EndpointKey{VNI: vni, Addr: netip.MustParseAddr("10.0.0.9")}
	row := maps.Endpoint{VNI: vni, Addr: key.Addr, Host: addrB}
	peer := maps.Peer{Prefix: underlay}
	network := maps.NetworkKey{VNI: vni, Prefix: overlay}
	errs := map[string]error{
		"Peer.Add":            dp.Peer.Add(ctx, peer),
		"Peer.AddAll":         dp.Peer.AddAll(ctx, []maps.Peer{peer}),
		"Peer.Remove":         dp.Peer.Remove(ctx, underlay),
		"VPC.Add":             dp.VPC.Add(ctx, maps.VPC{VNI: vni}),
		"VPC.RemoveAll":       dp.VPC.RemoveAll(ctx, []uint32{vni}),
		"Network.Remove":      dp.Network.Remove(ctx, network),
		"Droplet.Detach":      dp.Droplet.Detach(ctx, "eth0"),
		"Endpoint.Delete":     dp.Endpoint.Delete(ctx, "mzworkload"),
		"Endpoint.Add":        dp.Endpoint.Add(ctx, row),
		"Endpoint.AddAll":     dp.Endpoint.AddAll(ctx, []maps.Endpoint{row}),
		"Endpoint.AddAllFunc": dp.Endpoint.AddAllFunc(ctx, []maps.Endpoint{row}, func(int) {}),
		"Endpoint.Remove":     dp.Endpoint.Remove(ctx, key),
		"Endpoint.RemoveAll":  dp.Endpoint.RemoveAll(ctx, []maps.EndpointKey{key}),
	}
	_, errs["Peer.Get"] = dp.Peer.Get(ctx, underlay)
	_, errs["Peer.List"] = first(dp.Peer.List(ctx))
	_, errs["VPC.List"] = first(dp.VPC.List(ctx))
	_, errs["Network.List"] = first(dp.Network.List(ctx))
	_, errs["Droplet.Attach"] = dp.Droplet.Attach(ctx, droplet.Config{Interface: "eth0"})
	_, errs["Droplet.Update"] = dp.Droplet.Update(ctx, droplet.Config{Interface: "eth0"})
	_, errs["Droplet.Get"] = dp.Droplet.Get(ctx, "eth0")
	_, errs["Droplet.List"] = first(dp.Droplet.List(ctx))
	_, errs["Endpoint.Create"] = dp.Endpoint.Create(ctx, endpoint.Config{VNI: vni})
	_, errs["Endpoint.Update"] = dp.Endpoint.Update(ctx, "mz0", endpoint.Change{})
	_, errs["Endpoint.Local"] = first(dp.Endpoint.Local(ctx))
	_, errs["Endpoint.Get"] = dp.Endpoint.Get(ctx, key)
	_, errs["Endpoint.List"] = first(dp.Endpoint.List(ctx))
	_, errs["Stats.Counters"] = first(dp.Stats.Counters(ctx))
	_, errs["Stats.Droplets"] = first(dp.Stats.Droplets(ctx))
	_, errs["Stats.Endpoints"] = first(dp.Stats.Endpoints(ctx))
	_, errs["Stats.Events"] = first(dp.Stats.Events(ctx))
	_, errs["Function.Load"] = dp.Function.Load(ctx, "f", new(ebpf.CollectionSpec))
	_, errs["Function.Get"] = dp.Function.Get(ctx, "f")
	_, errs["Function.List"] = first(dp.Function.List(ctx))
	errs["Function.Remove"] = dp.Function.Remove(ctx, "f")
	errs["Stage.Set"] = dp.Stage.Set(ctx, StageSend, Scope{})
	errs["Stage.Clear"] = dp.Stage.Clear(ctx, StageSend, Scope{})
	_, errs["Stage.Get"] = dp.Stage.Get(ctx, StageSend, Scope{})
	_, errs["Stage.List"] = first(dp.Stage.List(ctx))
	_, errs["Stats.Lost"] = dp.Stats.Lost(ctx)
	return errs
}

func TestClosed(t *testing.T) {
	h := newHost(t)
	dp := h.open(t)
	require.NoError(t, dp.Close())
	require.NoError(t, dp.Close())
	for name, err := range calls(t.Context(), dp) {
		require.ErrorIs(t, err, ErrClosed, name)
	}
	require.ErrorIs(t, dp.Destroy(t.Context()), ErrClosed)
	h.destroy(t)
}

func TestEndedContext(t *testing.T) {
	h := newHost(t)
	dp := h.open(t)
	ended, end := context.WithCancel(t.Context())
	end()
	for name, err := range calls(ended, dp) {
		require.ErrorIs(t, err, context.Canceled, name)
	}
	require.Empty(t, collect(t, dp.Peer.List(t.Context())))
	require.NoError(t, dp.Destroy(t.Context()))
}

// TestCloseInALoop: the loop holds nothing that Close waits for, and ends.
func TestCloseInALoop(t *testing.T) {
	h := newHost(t)
	dp := h.open(t)
	require.NoError(t, dp.Peer.AddAll(t.Context(), []maps.Peer{
		{Prefix: underlay}, {Prefix: netip.MustParsePrefix("198.51.100.0/24")}, {Prefix: netip.MustParsePrefix("2001:db8::/32")},
	}))
	var last error
	n := 0
	for _, err := range dp.Peer.List(t.Context()) {
		last = err
		if n++; n == 1 {
			require.NoError(t, err)
			require.NoError(t, dp.Close())
		}
	}
	require.Equal(t, 2, n)
	require.ErrorIs(t, last, ErrClosed)
	h.destroy(t)
}

// TestCloseEndsEvents: who waits for drops hears that there will be none. Nobody else gets any until then.
func TestCloseEndsEvents(t *testing.T) {
	h, other := newHosts(t)
	workload := testutil.NewNS(t)
	dp := h.open(t)
	require.NoError(t, contentsOf(h, other, 1, 2).fill(t.Context(), dp, droplet.TCX, endpoint.FD(workload.FD())))
	waiting, ended := make(chan struct{}, 1), make(chan error, 1)
	go func() {
		for _, err := range dp.Stats.Events(context.Background()) {
			if err != nil {
				ended <- err
				return
			}
			select {
			case waiting <- struct{}{}:
			default:
			}
		}
	}()
	// A drop, so that it is known to be there.
	forged := netip.MustParseAddr("10.0.0.66")
	testutil.Addr(t, workload, "eth0", forged.String()+"/24")
	testutil.Ping(t, workload, forged, addr4(2), 1, 100*time.Millisecond)
	<-waiting
	_, err := first(dp.Stats.Events(t.Context()))
	require.ErrorIs(t, err, ErrExists)
	require.NoError(t, dp.Close())
	require.ErrorIs(t, <-ended, ErrClosed)
	h.destroy(t)
}

// TestTwoInstances share a namespace and a bpffs, on different interfaces.
func TestTwoInstances(t *testing.T) {
	h, peer := newHosts(t)
	testutil.Veth(t, h.ns, "eth1", peer.ns, "eth1")
	testutil.Addr(t, h.ns, "eth1", "198.51.100.1/24")
	testutil.Up(t, h.ns, "eth1")
	before := interfaces(t, h.ns)
	other := &host{ns: h.ns, bpffs: h.bpffs, name: "other", addr: h.addr}
	ctx := t.Context()
	a, b := h.open(t), other.open(t)

	_, err := a.Droplet.Attach(ctx, droplet.Config{Interface: "eth0"})
	require.NoError(t, err)
	_, err = a.Droplet.Attach(ctx, droplet.Config{Interface: "eth0"})
	require.ErrorIs(t, err, ErrExists)
	_, err = b.Droplet.Attach(ctx, droplet.Config{Interface: "eth0"})
	require.ErrorIs(t, err, ErrExists)
	_, err = b.Droplet.Attach(ctx, droplet.Config{Interface: "eth1"})
	require.NoError(t, err)
	require.Len(t, collect(t, a.Droplet.List(ctx)), 1)

	require.NoError(t, a.VPC.Add(ctx, maps.VPC{VNI: vni}))
	_, err = b.VPC.Get(ctx, vni)
	require.ErrorIs(t, err, ErrNotFound)

	require.NoError(t, a.Destroy(ctx))
	d, err := b.Droplet.Get(ctx, "eth1")
	require.NoError(t, err)
	require.False(t, d.Gone || d.Partial)
	require.NoError(t, b.Destroy(ctx))
	require.Equal(t, before, interfaces(t, h.ns))
	require.Empty(t, h.files(t))
}

// TestRows goes through what a manager of rows can do.
func TestRows(t *testing.T) {
	h := newHost(t)
	dp := h.open(t)
	ctx := t.Context()
	a, b := maps.Peer{Prefix: underlay, Cookie: 1}, maps.Peer{Prefix: netip.MustParsePrefix("2001:db8::/32")}

	require.NoError(t, dp.Peer.Add(ctx, a))
	a.Cookie = 2
	require.NoError(t, dp.Peer.AddAll(ctx, []maps.Peer{a, b}))
	require.ElementsMatch(t, []maps.Peer{a, b}, collect(t, dp.Peer.List(ctx)))
	require.NoError(t, dp.Peer.Remove(ctx, a.Prefix))
	require.ErrorIs(t, dp.Peer.Remove(ctx, a.Prefix), ErrNotFound)
	_, err := dp.Peer.Get(ctx, a.Prefix)
	require.ErrorIs(t, err, ErrNotFound)
	require.NoError(t, dp.Peer.RemoveAll(ctx, []netip.Prefix{b.Prefix}))
	require.Empty(t, collect(t, dp.Peer.List(ctx)))
	require.ErrorIs(t, dp.VPC.Add(ctx, maps.VPC{}), ErrInvalid)
	require.NoError(t, dp.Destroy(ctx))
}
