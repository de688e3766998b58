// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

// parallel calls f n times at once, and returns what it said.
func parallel(n int, f func(i int) error) []error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = f(i) })
	}
	wg.Wait()
	return errs
}

// As on a host that starts: many at once, and each can be used when its Create returns.
func TestParallelCreate(t *testing.T) {
	const n = 200
	r := newRig(t, bpf.Limits{})
	namespaces := make([]*netns.Handle, n)
	for i := range namespaces {
		namespaces[i] = testutil.NewNS(t)
	}
	some := namespaces[:4] // the same is done to all
	before := r.snapshot(some...)
	made := make([]*Endpoint, n)
	start := time.Now()
	errs := parallel(n, func(i int) (err error) {
		c := dual(namespaces[i])
		c.VNI = uint32(i + 1)
		c.Mode = []Mode{TCX, Native}[i%2]
		made[i], err = r.Create(t.Context(), c)
		if err != nil {
			return err
		}
		return namespaces[i].Do(func() error { return usable("eth0", c.Addrs) })
	})
	t.Logf("create %d: %v", n, time.Since(start))
	require.NoError(t, errors.Join(errs...))
	require.ElementsMatch(t, made, locals(t, r.another()))

	start = time.Now()
	errs = parallel(n, func(i int) error { return r.Delete(t.Context(), made[i].HostInterface) })
	t.Logf("delete %d: %v", n, time.Since(start))
	require.NoError(t, errors.Join(errs...))
	require.Equal(t, before, r.snapshot(some...))
	for _, ns := range namespaces {
		require.False(t, testutil.Exists(t, ns, "eth0"))
	}
}

// usable tells whether the thread's namespace takes what comes to the addresses. It asks the kernel once.
func usable(name string, addrs []netip.Prefix) error {
	dev, err := net.InterfaceByName(name)
	if err != nil {
		return err
	}
	if dev.Flags&net.FlagRunning == 0 {
		return fmt.Errorf("%s is not running", name)
	}
	for _, p := range addrs {
		routes, err := netlink.RouteGet(p.Addr().AsSlice())
		if err != nil {
			return fmt.Errorf("look up %s: %w", p.Addr(), err)
		}
		if routes[0].Type != unix.RTN_LOCAL {
			return fmt.Errorf("%s is not local: %s", p.Addr(), routes[0])
		}
	}
	return nil
}

// Of many that want the same, one gets it, and the others nothing.
func TestParallelClash(t *testing.T) {
	const n = 20
	r := newRig(t, bpf.Limits{})
	ns := testutil.NewNS(t)
	before := r.snapshot(ns)
	for name, config := range map[string]func(i int) Config{
		"address": func(i int) Config {
			c := dual(ns)
			c.Interface = fmt.Sprintf("eth%d", i)
			return c
		},
		"host interface": func(i int) Config {
			c := dual(ns)
			c.VNI, c.Interface, c.HostInterface = uint32(i+1), fmt.Sprintf("eth%d", i), "blue"
			return c
		},
		"interface": func(i int) Config {
			c := dual(ns)
			c.VNI, c.Routes = uint32(i+1), []Route{}
			return c
		},
	} {
		t.Run(name, func(t *testing.T) {
			errs := parallel(n, func(i int) error {
				_, err := r.Create(t.Context(), config(i))
				return err
			})
			good := 0
			for _, err := range errs {
				if err == nil {
					good++
					continue
				}
				require.ErrorIs(t, err, maps.ErrExists)
			}
			require.Equal(t, 1, good)
			all := locals(t, r.Manager)
			require.Len(t, all, 1)
			require.False(t, all[0].Partial)
			errs = parallel(n, func(int) error { return r.Delete(t.Context(), all[0].HostInterface) })
			good = 0
			for _, err := range errs {
				if err == nil {
					good++
					continue
				}
				require.ErrorIs(t, err, maps.ErrNotFound)
			}
			require.Equal(t, 1, good)
			require.Equal(t, before, r.snapshot(ns))
		})
	}
}

// While an endpoint is made here, others say that it lives elsewhere: what is here wins.
func TestParallelMove(t *testing.T) {
	r := newRig(t, bpf.Limits{})
	ns := testutil.NewNS(t)
	before := r.snapshot(ns)
	for range 10 {
		var e *Endpoint
		errs := parallel(4, func(i int) (err error) {
			if i == 0 {
				e, err = r.Create(t.Context(), dual(ns))
				return err
			}
			if err := r.Add(t.Context(), remote(7, "192.0.2.10")); err != nil && !errors.Is(err, maps.ErrExists) {
				return err
			}
			err = r.Remove(t.Context(), key(7, "192.0.2.10"))
			return ignore(err, maps.ErrExists, maps.ErrNotFound)
		})
		require.NoError(t, errors.Join(errs...))
		for _, a := range []string{"192.0.2.10", "2001:db8:7::10"} {
			row, err := r.Get(t.Context(), key(7, a))
			require.NoError(t, err)
			require.Equal(t, e.Ifindex, row.Ifindex)
		}
		require.NoError(t, r.Delete(t.Context(), e.HostInterface))
		require.Equal(t, before, r.snapshot(ns))
	}
}
