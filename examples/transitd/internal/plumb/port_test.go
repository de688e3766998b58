// SPDX-License-Identifier: Apache-2.0

package plumb

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/dataplane"
	"github.com/mizar-go/mizar/examples/transitd/internal/ovs"
	"github.com/mizar-go/mizar/examples/transitd/internal/ovs/ovstest"
	"github.com/mizar-go/mizar/internal/testutil"
)

func (r *rig) status() []PortStatus {
	r.t.Helper()
	all, err := r.again().Ports(r.t.Context())
	require.NoError(r.t, err)
	return all
}

// A port is made, moved to another bridge, repaired, and removed.
func TestPort(t *testing.T) {
	r := newRig(t)
	testutil.Bridge(t, r.ns, "br0", "x")
	testutil.Bridge(t, r.ns, "br1")
	testutil.MTU(t, r.ns, 1400, "br1")
	before := r.snapshot()
	p := Port{HostInterface: "ep", Interface: "br-ep", Bridge: "br0"}
	r.port(Added, p)
	index := testutil.Ifindex(t, r.ns, "ep")
	require.NoError(t, r.OpenPort(t.Context(), "ep"))
	testutil.Ready(t, r.ns, "ep")
	r.port(Unchanged, p)
	for _, name := range []string{"ep", "br-ep"} {
		require.Equal(t, "1", testutil.ReadSysctl(t, r.ns, "net/ipv6/conf/"+name+"/disable_ipv6"))
	}
	p.MTU = 1500
	require.Equal(t, []PortStatus{{p, true, true}}, r.status())
	quiet := func() {
		info, err := r.netlink.LinkGetProtinfo(testutil.Link(t, r.ns, "br-ep"))
		require.NoError(t, err)
		require.False(t, info.Learning)
		require.True(t, info.Isolated)
		require.NotZero(t, testutil.Link(t, r.ns, "br-ep").Attrs().RawFlags&unix.IFF_NOARP)
	}
	quiet()

	p.Bridge, p.MTU = "br1", 0
	r.port(Replaced, p)
	p.MTU = 1400
	require.Equal(t, []PortStatus{{p, true, true}}, r.status())
	testutil.In(t, r.ns, func() error {
		l, err := netlink.LinkByName("br-ep")
		return errors.Join(err, netlink.LinkSetLearning(l, true), netlink.LinkSetIsolated(l, false), netlink.LinkSetARPOn(l), netlink.LinkSetAlias(l, ""))
	})
	testutil.Sysctl(t, r.ns, "net/ipv6/conf/ep/disable_ipv6", "0")
	testutil.Down(t, r.ns, "br-ep")
	require.Equal(t, []PortStatus{{p, true, false}}, r.status())
	r.port(Replaced, p)
	require.Equal(t, []PortStatus{{p, true, true}}, r.status())
	quiet()
	require.Equal(t, index, testutil.Ifindex(t, r.ns, "ep"))

	testutil.Delete(t, r.ns, "br1")
	lost := PortStatus{Port{HostInterface: "ep", Interface: "br-ep", MTU: 1400}, true, false}
	require.Equal(t, []PortStatus{lost}, r.status())
	_, err := r.AddPort(t.Context(), p)
	require.ErrorIs(t, err, ErrNotFound)
	testutil.Bridge(t, r.ns, "br1")
	testutil.MTU(t, r.ns, 1400, "br1")
	r.port(Replaced, p)
	require.NoError(t, r.ShutPort(t.Context(), "ep"))
	require.Equal(t, []PortStatus{{p, false, true}}, r.status())
	others, err := plumber(t, r.ns, "red", nil).Ports(t.Context())
	require.NoError(t, err)
	require.Empty(t, others)
	require.ErrorIs(t, plumber(t, r.ns, "red", nil).RemovePort(t.Context(), "ep"), ErrNotFound)
	require.NoError(t, r.again().RemovePort(t.Context(), "ep"))
	require.ErrorIs(t, r.RemovePort(t.Context(), "ep"), ErrNotFound)
	testutil.Delete(t, r.ns, "br1")
	testutil.Bridge(t, r.ns, "br1")
	testutil.MTU(t, r.ns, 1400, "br1")
	require.Len(t, r.snapshot(), len(before))
	for _, p := range []Port{{HostInterface: "ep", Bridge: "br0", MTU: 1400}, {HostInterface: "ep", Bridge: "br0", MTU: 1300}} {
		_, err := r.AddPort(t.Context(), p)
		require.NoError(t, err)
	}
	require.NoError(t, r.RemovePort(t.Context(), "ep"))
}

// What is taken, not there or makes no sense: a typed error, and nothing changes.
func TestPortRefused(t *testing.T) {
	r := newRig(t)
	testutil.Bridge(t, r.ns, "br0", "x")
	_, err := plumber(t, r.ns, "red", nil).AddPort(t.Context(), Port{HostInterface: "red", Bridge: "br0"})
	require.NoError(t, err)
	r.port(Added, Port{HostInterface: "ep", Interface: "br-ep", Bridge: "br0"})
	before := r.snapshot()
	for _, tc := range []struct {
		p    Port
		want error
	}{
		{Port{HostInterface: "y", Bridge: "br0"}, ErrNotOurs},
		{Port{HostInterface: "red", Bridge: "br0"}, ErrNotOurs},
		{Port{HostInterface: "new", Interface: "y", Bridge: "br0"}, ErrExists},
		{Port{HostInterface: "new", Interface: "br-ep", Bridge: "br0"}, ErrExists},
		{Port{HostInterface: "ep", Interface: "other", Bridge: "br0"}, ErrExists},
		{Port{HostInterface: "ep", Bridge: "br0"}, ErrExists},
		{Port{HostInterface: "new", Bridge: "none"}, ErrNotFound},
		{Port{HostInterface: "new", Bridge: "y"}, ErrInvalid},
		{Port{HostInterface: "new"}, ErrInvalid},
		{Port{HostInterface: "new", Bridge: "br0", OVS: &OVSPort{Bridge: "br0"}}, ErrInvalid},
		{Port{HostInterface: "new", OVS: &OVSPort{Bridge: "br0"}}, ovs.ErrUnavailable},
		{Port{HostInterface: "", Bridge: "br0"}, ErrInvalid},
		{Port{HostInterface: "a/b", Bridge: "br0"}, ErrInvalid},
		{Port{HostInterface: "new", Interface: "new", Bridge: "br0"}, ErrInvalid},
		{Port{HostInterface: "new", Bridge: "br0", MTU: 5}, ErrInvalid},
	} {
		_, err := r.AddPort(t.Context(), tc.p)
		require.ErrorIs(t, err, tc.want, "%+v", tc.p)
	}
	for _, name := range []string{"y", "red", "none", "br-ep", "br0"} {
		require.ErrorIs(t, r.RemovePort(t.Context(), name), ErrNotFound, name)
		require.ErrorIs(t, r.OpenPort(t.Context(), name), ErrNotFound, name)
		require.ErrorIs(t, r.ShutPort(t.Context(), name), ErrNotFound, name)
	}
	require.Equal(t, before, r.snapshot())
	testutil.Without(t, 12, func() { // CAP_NET_ADMIN, which the sockets had when they were made
		_, err := New(Options{Instance: "a b"})
		require.ErrorIs(t, err, ErrInvalid)
	})
	for _, o := range []Options{{}, {Instance: "a:b"}, {Instance: "blue", Protocol: 4}} {
		_, err := New(o)
		require.ErrorIs(t, err, ErrInvalid)
	}
	_, err = New(Options{Instance: "blue", NetNS: "/nowhere"})
	require.Error(t, err)
	require.ErrorIs(t, ErrNotOurs, dataplane.ErrExists)
}

func TestPortFaults(t *testing.T) {
	r := newRig(t)
	testutil.Bridge(t, r.ns, "br0", "x")
	testutil.Bridge(t, r.ns, "br1", "y")
	testutil.MTU(t, r.ns, 1400, "br1")
	for _, bridge := range []string{"br0", "br1"} {
		r.faults(r.Plumber, func(ctx context.Context) error {
			_, err := r.AddPort(ctx, Port{HostInterface: "ep", Bridge: bridge})
			return err
		})
	}
}

// Killed at any moment, the daemon finds what there is of a port, and repairs or removes it.
func TestPortHalfMade(t *testing.T) {
	r := newRig(t)
	testutil.Bridge(t, r.ns, "br0", "x")
	before := r.snapshot()
	p := Port{HostInterface: "ep", Bridge: "br0"}
	for _, repair := range []bool{true, false} {
		r.half(func(ctx context.Context, half *Plumber) error {
			_, err := half.AddPort(ctx, p)
			return err
		}, func(step string) {
			if step == "create" {
				require.Empty(t, r.status())
				return
			}
			require.Len(t, r.status(), 1, step)
			if repair {
				_, err := r.again().AddPort(t.Context(), p)
				require.NoError(t, err, step)
				require.True(t, r.status()[0].Whole, step)
			}
			require.NoError(t, r.again().RemovePort(t.Context(), "ep"), step)
			require.Equal(t, before, r.snapshot(), step)
		})
		require.NoError(t, r.RemovePort(t.Context(), "ep"))
	}
}

// The same at a bridge of Open vSwitch: faults, what is half there, and Open vSwitch away.
func TestPortOVS(t *testing.T) {
	r := newRig(t)
	sw := ovstest.Start(t, r.ns.Do)
	sw.Bridge("ovs0")
	sw.Vsctl("add-port", "ovs0", "y")
	testutil.Bridge(t, r.ns, "br0", "x")
	p := plumber(t, r.ns, "blue", client(t, sw))
	before, rows := r.snapshot(), sw.Vsctl("show")
	port := Port{HostInterface: "ep", OVS: &OVSPort{Bridge: "ovs0", Tag: 3, Workload: "y"}}
	add := func(port Port) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := p.AddPort(ctx, port)
			return err
		}
	}
	status := func() []PortStatus {
		all, err := p.Ports(t.Context())
		require.NoError(t, err)
		return all
	}
	r.faults(p, add(port))
	want := port
	want.Interface, want.MTU = port.end(), 1500
	require.Equal(t, []PortStatus{{want, false, true}}, status())
	r.faults(p, add(Port{HostInterface: "ep", Bridge: "br0"}))
	require.NotContains(t, sw.Vsctl("show"), port.end())
	require.NoError(t, add(port)(t.Context()))

	// Somebody deletes the veth: its row is found, repaired and removed.
	testutil.Delete(t, r.ns, "ep")
	gone := want
	gone.MTU = 0
	require.Equal(t, []PortStatus{{Port: gone}}, status())
	require.NoError(t, add(port)(t.Context()))
	require.Equal(t, []PortStatus{{want, false, true}}, status())
	testutil.Delete(t, r.ns, "ep")
	require.NoError(t, p.RemovePort(t.Context(), "ep"))
	require.ErrorIs(t, p.RemovePort(t.Context(), "ep"), ErrNotFound)

	// Somebody deletes the row.
	require.NoError(t, add(port)(t.Context()))
	sw.Vsctl("del-port", port.end())
	require.False(t, status()[0].Whole)
	require.NoError(t, add(port)(t.Context()))
	require.Equal(t, []PortStatus{{want, false, true}}, status())

	sw.StopServer()
	require.ErrorIs(t, add(port)(t.Context()), ovs.ErrUnavailable)
	require.ErrorIs(t, p.RemovePort(t.Context(), "ep"), ovs.ErrUnavailable)
	require.True(t, testutil.Exists(t, r.ns, "ep"))
	require.Equal(t, []PortStatus{{Port: Port{HostInterface: "ep", Interface: port.end(), MTU: 1500}}}, status())
	require.NoError(t, add(Port{HostInterface: "other", Bridge: "br0"})(t.Context()), "which needs none")
	require.NoError(t, p.RemovePort(t.Context(), "other"))
	sw.StartServer()
	require.NoError(t, p.RemovePort(t.Context(), "ep"))
	require.Equal(t, rows, sw.Vsctl("show"))
	require.Equal(t, before, r.snapshot())
}

func client(t testing.TB, sw *ovstest.Switch) *ovs.Client {
	t.Helper()
	c, err := ovs.New(ovs.Options{Instance: "blue", Socket: sw.Socket()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

// Two plumbers, each used by many at once.
func TestAtOnce(t *testing.T) {
	r := newRig(t)
	var all sync.WaitGroup
	errs := make(chan error, 64)
	for i, p := range []*Plumber{r.Plumber, plumber(t, r.ns, "red", nil)} {
		for j := range 4 {
			all.Go(func() {
				ctx := t.Context()
				bridge := fmt.Sprintf("br%d", i)
				_, err := p.AddBridge(ctx, Bridge{Name: bridge})
				_, err2 := p.AddPort(ctx, Port{HostInterface: fmt.Sprintf("ep%d-%d", i, j), Bridge: bridge})
				_, err3 := p.AddAddress(ctx, Address{bridge, prefix(fmt.Sprintf("10.%d.0.%d/24", i, j+1))})
				_, err4 := p.Ports(ctx)
				errs <- errors.Join(err, err2, err3, err4)
			})
		}
	}
	all.Wait()
	for range 8 {
		require.NoError(t, <-errs)
	}
	require.Len(t, r.status(), 4)
	require.Len(t, r.given(), 4)
}
