// SPDX-License-Identifier: Apache-2.0

package plumb

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/snapshot"
	"github.com/mizar-go/mizar/internal/testutil"
)

// rig is a namespace, and a plumber in it. There are veths x, y and z, whose other ends are elsewhere.
type rig struct {
	*Plumber
	t  testing.TB
	ns *netns.Handle
}

func newRig(t testing.TB) *rig {
	t.Helper()
	testutil.Root(t)
	testutil.Leaks(t)
	r := &rig{t: t, ns: testutil.NewNS(t)}
	far := testutil.NewNS(t)
	for _, name := range []string{"x", "y", "z"} {
		testutil.Veth(t, r.ns, name, far, name)
		testutil.Up(t, r.ns, name)
		testutil.Up(t, far, name)
	}
	r.Plumber = plumber(t, r.ns, "blue", nil)
	return r
}

// again is a plumber as after a restart.
func (r *rig) again() *Plumber { return plumber(r.t, r.ns, "blue", nil) }

// oper is what the kernel says a moment later.
var oper = regexp.MustCompile(`oper \w+ `)

// snapshot is what there is to see in the namespace, settings included.
func (r *rig) snapshot() []string {
	r.t.Helper()
	all := append(snapshot.Network(r.t, r.ns), r.state()...)
	for i := range all {
		all[i] = oper.ReplaceAllString(all[i], "")
	}
	slices.Sort(all)
	return all
}

// state is the part of it that is read in no time.
func (r *rig) state() (all []string) {
	r.t.Helper()
	testutil.In(r.t, r.ns, func() error {
		links, err := netlink.LinkList()
		for _, l := range links {
			a := l.Attrs()
			all = append(all, fmt.Sprintf("%s: %q %q at %d, MTU %d, MAC %s, up %v", a.Name, a.Alias, a.AltNames, a.MasterIndex, a.MTU, a.HardwareAddr, a.Flags&net.FlagUp))
		}
		addrs, err2 := netlink.AddrList(nil, netlink.FAMILY_ALL)
		for _, a := range addrs {
			if !a.IP.IsLinkLocalUnicast() { // which come by themselves, in their own time
				all = append(all, fmt.Sprintf("%s at %d", a.IPNet, a.LinkIndex))
			}
		}
		routes, err3 := netlink.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{}, netlink.RT_FILTER_TABLE)
		for _, route := range routes {
			if route.Protocol != unix.RTPROT_KERNEL {
				all = append(all, fmt.Sprintf("%s by %d", route, route.Protocol))
			}
		}
		return errors.Join(err, err2, err3)
	})
	slices.Sort(all)
	return all
}

// does checks the outcome of an Add, that the Check before says the same, and that there is nothing left to do
// after it, for a plumber of after a restart either.
func does[T any](r *rig, want Outcome, check, add func(context.Context, T) (Outcome, error), x T) {
	r.t.Helper()
	before := r.state()
	got, err := check(r.t.Context(), x)
	require.NoError(r.t, err)
	require.Equal(r.t, want, got)
	require.Equal(r.t, before, r.state())
	got, err = add(r.t.Context(), x)
	require.NoError(r.t, err)
	require.Equal(r.t, want, got)
	after := r.state()
	got, err = add(r.t.Context(), x)
	require.NoError(r.t, err)
	require.Equal(r.t, Unchanged, got)
	require.Equal(r.t, after, r.state())
}

func (r *rig) bridge(want Outcome, b Bridge) {
	r.t.Helper()
	does(r, want, r.CheckBridge, r.AddBridge, b)
	got, err := r.again().AddBridge(r.t.Context(), b)
	require.NoError(r.t, err)
	require.Equal(r.t, Unchanged, got)
}

func (r *rig) port(want Outcome, p Port) {
	r.t.Helper()
	does(r, want, r.CheckPort, r.AddPort, p)
	got, err := r.again().AddPort(r.t.Context(), p)
	require.NoError(r.t, err)
	require.Equal(r.t, Unchanged, got)
}

func (r *rig) address(want Outcome, a Address) {
	r.t.Helper()
	does(r, want, r.CheckAddress, r.AddAddress, a)
}

func (r *rig) route(want Outcome, route Route) {
	r.t.Helper()
	does(r, want, r.CheckRoute, r.AddRoute, route)
}

var errFault = errors.New("fault")

// faults has a change fail at each of its steps, by a fault and by a context that ends: all is as before. It
// gets through in the end.
func (r *rig) faults(p *Plumber, f func(context.Context) error) {
	r.t.Helper()
	before := r.snapshot()
	for i := 0; ; i++ {
		for _, fault := range []bool{true, false} {
			ctx, cancel := context.WithCancel(r.t.Context())
			n, at := -1, ""
			p.fail = func(step string) error {
				if n++; n != i {
					return nil
				}
				at = step
				if fault {
					return errFault
				}
				cancel() // heeded before the next step
				return nil
			}
			err := f(ctx)
			p.fail = nil
			cancel()
			switch {
			case n < i: // there are no more
				require.NoError(r.t, err)
				require.Greater(r.t, i, 1)
				return
			case fault:
				require.ErrorIs(r.t, err, errFault)
			case at == "done":
				continue
			default:
				require.ErrorIs(r.t, err, context.Canceled)
			}
			require.Equal(r.t, before, r.snapshot(), "at %d %s", i, at)
		}
	}
}

// half has a plumber of another process die after each step of a change, and hands what it left to check.
func (r *rig) half(f func(context.Context, *Plumber) error, check func(step string)) {
	r.t.Helper()
	for i := 0; ; i++ {
		p := plumber(r.t, r.ns, "blue", nil)
		n, at := -1, ""
		p.fail = func(step string) error {
			if n++; n == i {
				at = step
				panic(errFault)
			}
			return nil
		}
		func() {
			defer func() {
				if recover() != nil {
					p.mu.TryLock()
					p.mu.Unlock()
				}
			}()
			require.NoError(r.t, f(r.t.Context(), p))
		}()
		if n < i {
			return
		}
		check(at)
	}
}
