// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

const settleTimeout = 5 * time.Second

// settled tells whether the kernel has seen that an interface is up.
func settled(ns *netns.Handle, name string) error {
	return ns.Do(func() error {
		l, err := netlink.LinkByName(name)
		if err == nil && l.Attrs().OperState != netlink.OperUp {
			err = fmt.Errorf("%s is %s", name, l.Attrs().OperState)
		}
		return err
	})
}

// The container died, and its namespace took the pair with it.
func TestDeleteGone(t *testing.T) {
	for _, mode := range []Mode{TCX, Native} {
		t.Run(mode.String(), func(t *testing.T) {
			r := newRig(t, bpf.Limits{})
			before := r.snapshot()
			ns, err := netns.New()
			require.NoError(t, err)
			defer ns.Close()
			c := full(ns, mode)
			e := r.create(c)
			require.NoError(t, ns.Close())
			testutil.Eventually(t, settleTimeout, func() error {
				if testutil.Exists(t, r.host, e.HostInterface) {
					return errors.New("the interface is still there")
				}
				return nil
			})
			want := *e
			want.Gone = true
			require.Equal(t, []*Endpoint{&want}, locals(t, r.another()))

			other := testutil.NewNS(t)
			_, err = r.Create(t.Context(), full(other, mode))
			require.ErrorIs(t, err, maps.ErrExists)
			again := dual(other)
			again.HostInterface = c.HostInterface
			_, err = r.Create(t.Context(), again)
			require.ErrorIs(t, err, maps.ErrExists)
			require.ErrorContains(t, err, "gone")

			require.NoError(t, r.another().Delete(t.Context(), e.HostInterface))
			require.Equal(t, before, r.snapshot())
		})
	}
}

// A number is used again, by somebody else's interface.
func TestDeleteSparesOthers(t *testing.T) {
	r := newRig(t, bpf.Limits{})
	ns := testutil.NewNS(t)
	before := r.snapshot(ns)
	e := r.create(dual(ns))
	testutil.Delete(t, r.host, e.HostInterface)
	testutil.In(t, r.host, func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.Index = "other", e.Ifindex
		return netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs})
	})
	require.True(t, locals(t, r.Manager)[0].Gone)
	require.NoError(t, r.Delete(t.Context(), e.HostInterface))
	require.True(t, testutil.Exists(t, r.host, "other"))
	testutil.Delete(t, r.host, "other")
	require.Equal(t, before, r.snapshot(ns))
}

// An interface that an admin has given another name, or another MAC, is still ours.
func TestDeleteRenamed(t *testing.T) {
	r := newRig(t, bpf.Limits{})
	ns := testutil.NewNS(t)
	before := r.snapshot(ns)
	for name, change := range map[string]func(netlink.Link) error{
		"name": func(l netlink.Link) error { return netlink.LinkSetName(l, "renamed") },
		"MAC":  func(l netlink.Link) error { return netlink.LinkSetHardwareAddr(l, net.HardwareAddr{2, 9, 9, 9, 9, 9}) },
	} {
		t.Run(name, func(t *testing.T) {
			e := r.create(dual(ns))
			l := testutil.Link(t, r.host, e.HostInterface)
			testutil.In(t, r.host, func() error { return change(l) })
			require.False(t, locals(t, r.Manager)[0].Gone)
			require.NoError(t, r.Delete(t.Context(), e.HostInterface))
			require.Equal(t, before, r.snapshot(ns))
		})
	}
}

// Whatever the workload has done to its side.
func TestDeleteChangedWorkload(t *testing.T) {
	r := newRig(t, bpf.Limits{})
	ns := testutil.NewNS(t)
	before := r.snapshot(ns)
	e := r.create(dual(ns))
	l := testutil.Link(t, ns, "eth0")
	testutil.In(t, ns, func() error {
		return errors.Join(netlink.LinkSetDown(l), netlink.LinkSetName(l, "mine"), netlink.LinkSetMTU(l, 900))
	})
	require.NoError(t, r.Delete(t.Context(), e.HostInterface))
	require.Equal(t, before, r.snapshot(ns))
}

// Somebody has taken the agent off: it shows.
func TestPartialWithoutAgent(t *testing.T) {
	r := newRig(t, bpf.Limits{})
	ns := testutil.NewNS(t)
	before := r.snapshot(ns)
	e := r.create(dual(ns))
	require.False(t, locals(t, r.Manager)[0].Partial)
	testutil.In(t, r.host, func() error { return r.detach(e.Ifindex) })
	require.True(t, locals(t, r.Manager)[0].Partial)
	require.NoError(t, r.Delete(t.Context(), e.HostInterface))
	require.Equal(t, before, r.snapshot(ns))
}

func TestAnotherManager(t *testing.T) {
	r := newRig(t, bpf.Limits{})
	before := r.snapshot()
	var made []*Endpoint
	for i := range 3 {
		c := dual(testutil.NewNS(t))
		c.VNI = uint32(i + 1)
		c.Cookie = uint64(i) << 60
		made = append(made, r.create(c))
	}
	slices.SortFunc(made, func(a, b *Endpoint) int { return a.Ifindex - b.Ifindex })
	second := r.another()
	require.Equal(t, made, locals(t, second))
	require.ErrorIs(t, second.Add(t.Context(), remote(1, "192.0.2.10")), maps.ErrExists, "it is here")
	for _, e := range made {
		require.NoError(t, second.Delete(t.Context(), e.HostInterface))
	}
	require.Equal(t, before, r.snapshot())
}
