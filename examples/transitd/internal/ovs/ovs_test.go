// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/dataplane"
)

// A port is made, found by another client, changed in place, moved and removed. What others have there stays.
func TestPort(t *testing.T) {
	r := newRig(t)
	before := r.snapshot()
	c := r.client("blue")
	add := func(p Port, want bool) {
		t.Helper()
		changes, err := c.Check(t.Context(), p)
		require.NoError(t, err)
		require.Equal(t, want, changes, "%+v", p)
		changed, err := c.Add(t.Context(), p)
		require.NoError(t, err)
		require.Equal(t, want, changed, "%+v", p)
		again, err := c.Add(t.Context(), p)
		require.NoError(t, err)
		require.False(t, again, "%+v", p)
		require.Equal(t, []Status{{Port: p, Wired: true}}, r.ports(c))
		require.Equal(t, []Status{{Port: p, Wired: true}}, r.ports(r.client("blue")))
		require.Empty(t, r.ports(r.client("red")))
	}
	add(Port{Bridge: "br0", Name: "e0", Host: "ep0"}, true)
	add(Port{Bridge: "br0", Name: "e0", Host: "ep0", Tag: 7}, true)
	add(Port{Bridge: "br0", Name: "e0", Host: "ep0", Tag: 8, Workload: "w0"}, true) // of a trunk
	add(Port{Bridge: "br0", Name: "e0", Host: "ep0", Workload: "w0"}, true)
	add(Port{Bridge: "br0", Name: "e0", Host: "ep0", Workload: "w1"}, true)
	r.Vsctl("set", "port", "w2", "tag=9")
	add(Port{Bridge: "br0", Name: "e0", Host: "ep0", Tag: 9, Workload: "w2"}, true)
	r.Vsctl("clear", "port", "w2", "tag")
	add(Port{Bridge: "br0", Name: "e0"}, true)
	require.NotContains(t, r.Ofctl("dump-ports-desc", "br0", "-OOpenFlow10"), "NO_FLOOD")
	add(Port{Bridge: "br1", Name: "e0", Tag: 3}, true)
	r.Vsctl("set", "port", "e0", "external_ids:theirs=kept")
	add(Port{Bridge: "br1", Name: "e0"}, true)
	require.Contains(t, r.Vsctl("get", "port", "e0", "external_ids"), "theirs=kept")
	require.ErrorIs(t, r.client("red").Remove(t.Context(), "e0"), dataplane.ErrNotFound)
	require.NoError(t, c.Remove(t.Context(), "e0"))
	require.ErrorIs(t, c.Remove(t.Context(), "e0"), dataplane.ErrNotFound)
	require.Equal(t, before, r.snapshot())
}

// What is somebody else's, not there, or no port: a typed error, and nothing changes.
func TestRefused(t *testing.T) {
	r := newRig(t)
	r.Vsctl("set", "port", "w2", "tag=9")
	c := r.client("blue")
	_, err := r.client("red").Add(t.Context(), Port{Bridge: "br0", Name: "e1"})
	require.NoError(t, err)
	before := r.snapshot()
	for _, tc := range []struct {
		p    Port
		want error
	}{
		{Port{Bridge: "br0", Name: "w0"}, ErrNotOurs},
		{Port{Bridge: "br0", Name: "w0"}, dataplane.ErrExists},
		{Port{Bridge: "br0", Name: "e1"}, ErrNotOurs},
		{Port{Bridge: "none", Name: "e0"}, dataplane.ErrNotFound},
		{Port{Bridge: "br0", Name: "e0", Workload: "none"}, dataplane.ErrNotFound},
		{Port{Bridge: "br1", Name: "e0", Workload: "w0"}, dataplane.ErrNotFound},
		{Port{Bridge: "br0", Name: "none"}, ErrRefused},
		{Port{Bridge: "br0", Name: "e0", Workload: "w2"}, dataplane.ErrInvalid},
		{Port{Bridge: "br0", Name: "e0", Workload: "w2", Tag: 8}, dataplane.ErrInvalid},
		{Port{Bridge: "br0", Name: "e0", Workload: "e0"}, dataplane.ErrInvalid},
		{Port{Bridge: "br0", Name: "e0", Workload: "br0"}, dataplane.ErrInvalid},
		{Port{Bridge: "br0", Name: "br0"}, dataplane.ErrInvalid},
		{Port{Bridge: "br0", Name: "e0", Tag: 4095}, dataplane.ErrInvalid},
		{Port{Bridge: "../br0", Name: "e0"}, dataplane.ErrInvalid},
		{Port{Bridge: "--help", Name: "e0"}, dataplane.ErrInvalid},
		{Port{Bridge: "br0", Name: "-e0"}, dataplane.ErrInvalid},
		{Port{Bridge: "br0", Name: "e0,e1"}, dataplane.ErrInvalid},
		{Port{Bridge: "br0", Name: "e0", Workload: "w0 actions=NORMAL"}, dataplane.ErrInvalid},
		{Port{Bridge: "br0", Name: ""}, dataplane.ErrInvalid},
	} {
		_, err := c.Add(t.Context(), tc.p)
		require.ErrorIs(t, err, tc.want, "%+v", tc.p)
	}
	for _, name := range []string{"w0", "e1", "e0", "none"} {
		require.ErrorIs(t, c.Remove(t.Context(), name), dataplane.ErrNotFound, name)
	}
	require.ErrorIs(t, c.Remove(t.Context(), "--all"), dataplane.ErrInvalid)
	_, err = c.Bridge(t.Context(), "none")
	require.ErrorIs(t, err, dataplane.ErrNotFound)
	b, err := c.Bridge(t.Context(), "br0")
	require.NoError(t, err)
	require.Equal(t, Bridge{"br0", true}, b)
	require.Equal(t, before, r.snapshot())
	for _, instance := range []string{"", "a b", "a:b", "../a"} {
		_, err := New(Options{Instance: instance})
		require.ErrorIs(t, err, dataplane.ErrInvalid)
	}
}

var errFault = errors.New("fault")

// Add fails at each of its steps, by a fault and by a context that ends: all is as before.
func TestFaults(t *testing.T) {
	r := newRig(t)
	c := r.client("blue")
	old := Port{Bridge: "br0", Name: "e0", Workload: "w1", Host: "ep0"}
	for name, tc := range map[string]struct {
		prepare func()
		p       Port
	}{
		"new, wired":  {func() {}, Port{Bridge: "br0", Name: "e0", Workload: "w0", Host: "ep0"}},
		"new, trunk":  {func() {}, Port{Bridge: "br0", Name: "e0", Workload: "w0", Tag: 5}},
		"other VLAN":  {func() { r.add(c, old) }, Port{Bridge: "br0", Name: "e0", Workload: "w1", Tag: 6}},
		"unwired":     {func() { r.add(c, old) }, Port{Bridge: "br0", Name: "e0", Host: "ep1"}},
		"moved":       {func() { r.add(c, old) }, Port{Bridge: "br1", Name: "e0", Tag: 3}},
		"other wires": {func() { r.add(c, old) }, Port{Bridge: "br0", Name: "e0", Workload: "w2", Host: "ep0"}},
	} {
		t.Run(name, func(t *testing.T) {
			tc.prepare()
			before := r.snapshot()
			for i := 0; ; i++ {
				for _, how := range []string{"fault", "context"} {
					ctx, cancel := context.WithCancel(t.Context())
					n, step := -1, ""
					c.fail = func(s string) error {
						if n++; n != i {
							return nil
						}
						step = s
						if how == "fault" {
							return errFault
						}
						cancel()
						return nil
					}
					_, err := c.Add(ctx, tc.p)
					c.fail = nil
					cancel()
					if n < i {
						require.NoError(t, err)
						require.Positive(t, i)
						require.NoError(t, c.Remove(t.Context(), "e0"))
						return
					}
					if how == "fault" {
						require.ErrorIs(t, err, errFault)
					} else {
						require.ErrorIs(t, err, context.Canceled)
					}
					require.Equal(t, before, r.snapshot(), "%s at %d %s", how, i, step)
				}
			}
		})
	}
}

func (r *rig) add(c *Client, p Port) {
	r.t.Helper()
	_, err := c.Add(r.t.Context(), p)
	require.NoError(r.t, err)
}

// Both daemons go away and come back: calls say so while they are away, what is half done is undone, and
// wires that went with ovs-vswitchd are put back.
func TestAway(t *testing.T) {
	r := newRig(t)
	c := r.client("blue")
	p := Port{Bridge: "br0", Name: "e0", Workload: "w0"}
	r.add(c, p)

	r.StopDaemon()
	require.Equal(t, []Status{{Port: p}}, r.ports(c))
	_, err := c.Add(t.Context(), Port{Bridge: "br0", Name: "e1"})
	require.ErrorIs(t, err, ErrUnavailable)
	require.NotContains(t, r.Vsctl("list-ports", "br0"), "e1")
	r.StartDaemon()
	require.Eventually(t, func() bool {
		changed, err := c.Add(t.Context(), p)
		return err == nil && changed
	}, 5*time.Second, 10*time.Millisecond)
	require.Equal(t, []Status{{Port: p, Wired: true}}, r.ports(c))
	mended, err := c.Mend(t.Context())
	require.NoError(t, err)
	require.Empty(t, mended)
	r.StopDaemon()
	r.StartDaemon()
	require.Eventually(t, func() bool {
		mended, err := c.Mend(t.Context())
		return err == nil && len(mended) == 1 && mended[0] == p
	}, 5*time.Second, 10*time.Millisecond)
	require.Equal(t, []Status{{Port: p, Wired: true}}, r.ports(c))

	r.StopServer()
	_, err = c.Ports(t.Context())
	require.ErrorIs(t, err, ErrUnavailable)
	_, err = c.Mend(t.Context())
	require.ErrorIs(t, err, ErrUnavailable)
	_, err = c.Add(t.Context(), p)
	require.ErrorIs(t, err, ErrUnavailable)
	require.ErrorIs(t, c.Remove(t.Context(), "e0"), ErrUnavailable)
	r.StartServer()
	require.Equal(t, []Status{{Port: p, Wired: true}}, r.ports(c))

	r.StopDaemon()
	require.NoError(t, c.Remove(t.Context(), "e0"), "with ovs-vswitchd its flows are gone")
	require.Empty(t, r.ports(c))
}

// A port that is wired goes to another bridge: the first one has neither its flows, nor the other port held back.
func TestMovedWired(t *testing.T) {
	r := newRig(t)
	c := r.client("blue")
	before := r.Ofctl("dump-flows", "br0", "--no-stats")
	r.add(c, Port{Bridge: "br0", Name: "e0", Workload: "w0"})
	r.add(c, Port{Bridge: "br1", Name: "e0", Tag: 3})
	require.Equal(t, before, r.Ofctl("dump-flows", "br0", "--no-stats"))
	require.NotContains(t, r.Ofctl("dump-ports-desc", "br0", "-OOpenFlow10"), "NO_FLOOD")
	require.Equal(t, []Status{{Port: Port{Bridge: "br1", Name: "e0", Tag: 3}, Wired: true}}, r.ports(c))
	require.NotContains(t, r.Vsctl("get", "port", "e0", "external_ids"), idFlood)
	require.NoError(t, c.Remove(t.Context(), "e0"))
}

// Somebody removes our port: its flows are removed nevertheless.
func TestRemovedByOthers(t *testing.T) {
	r := newRig(t)
	c := r.client("blue")
	before := r.Ofctl("dump-flows", "br0", "--no-stats")
	r.add(c, Port{Bridge: "br0", Name: "e0", Workload: "w0"})
	r.Vsctl("del-port", "e0")
	require.NotEqual(t, before, r.Ofctl("dump-flows", "br0", "--no-stats"))
	require.NoError(t, c.Remove(t.Context(), "e0"))
	require.Equal(t, before, r.Ofctl("dump-flows", "br0", "--no-stats"))
	require.ErrorIs(t, c.Remove(t.Context(), "e0"), dataplane.ErrNotFound)
}

// Many at once, by two clients.
func TestAtOnce(t *testing.T) {
	r := newRig(t)
	clients := []*Client{r.client("blue"), r.client("red")}
	var all sync.WaitGroup
	errs := make(chan error, 8)
	for i := range 2 {
		for range 4 {
			all.Go(func() {
				_, err := clients[i].Add(t.Context(), Port{Bridge: "br0", Name: fmt.Sprintf("e%d", i), Workload: fmt.Sprintf("w%d", i)})
				errs <- err
			})
		}
	}
	all.Wait()
	for range 8 {
		require.NoError(t, <-errs)
	}
	for i, c := range clients {
		require.Len(t, r.ports(c), 1)
		require.NoError(t, c.Remove(t.Context(), fmt.Sprintf("e%d", i)))
	}
}
