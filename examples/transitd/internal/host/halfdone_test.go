// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/examples/transitd/internal/ovs"
	"github.com/mizar-go/mizar/examples/transitd/internal/ovs/ovstest"
)

// failsAfter has an Apply fail after its last step, which is last, and be undone.
func (w *world) failsAfter(t *testing.T, wanted *pb.State, last func()) {
	t.Helper()
	h, fault := w.h, errors.New("fault")
	g, err := h.goal(&pb.ApplyRequest{State: wanted})
	require.NoError(t, err)
	h.writer.Lock()
	defer h.writer.Unlock()
	p, err := h.compare(t.Context(), g)
	require.NoError(t, err)
	require.NotEmpty(t, p.steps)
	p.steps = append(p.steps, step{do: func(context.Context) error {
		last()
		return fault
	}})
	err = h.commit(t.Context(), p.change, func(ctx context.Context) error { return h.run(ctx, p, nil) })
	require.ErrorIs(t, err, fault)
}

// requireNothingLeft waits until there is nothing to heal any more.
func (w *world) requireNothingLeft(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		w.h.writer.Lock()
		defer w.h.writer.Unlock()
		return len(w.h.unrepaired)+len(w.h.going)+len(w.h.strays) == 0
	}, 20*time.Second, 50*time.Millisecond)
}

// TestHalfDone: Open vSwitch goes away over an Apply, which therefore can neither be done nor undone. When it is there
// again, so is what was asked for, and nothing of what was not; what is foreign stays. So it is where the daemon is
// started again meanwhile.
func TestHalfDone(t *testing.T) {
	w := newWorld(t)
	sw := ovstest.Start(t, w.ns.Do)
	sw.Bridge("ovs0")
	sw.Bridge("ovs1")
	w.options.OVS = sw.Socket()
	w.open(t)
	old := state(t, `{"localEndpoints":[
		{"vni":7,"addresses":["10.0.0.1/24"],"mac":"02:00:00:00:00:01","ovs":{"bridge":"ovs0"},"hostInterface":"mzone"},
		{"vni":7,"addresses":["10.0.0.2/24"],"mac":"02:00:00:00:00:02","ovs":{"bridge":"ovs0"},"hostInterface":"mztwo"}]}`)
	wanted := state(t, `{"vpcs":[{"vni":9}], "localEndpoints":[
		{"vni":7,"addresses":["10.0.0.1/24"],"mac":"02:00:00:00:00:01","ovs":{"bridge":"ovs1","tag":3},"hostInterface":"mzone"},
		{"vni":7,"addresses":["10.0.0.3/24"],"mac":"02:00:00:00:00:03","ovs":{"bridge":"ovs1"},"hostInterface":"mztwo"}]}`)
	w.apply(t, old)
	all := func() []string {
		rows := strings.Split(sw.Vsctl("--format=csv", "--columns=name,tag,external_ids", "list", "port"), "\n")
		return append(w.kernel(t), sorted(rows)...)
	}
	was, kernel := all(), w.kernel(t)
	for what, restart := range map[string]bool{"runs": false, "restarted": true} {
		t.Run(what, func(t *testing.T) {
			w.failsAfter(t, wanted, sw.StopServer)
			require.NotEqual(t, kernel, w.kernel(t), "it could not be undone")
			if restart {
				w.open(t)
			}
			sw.StartServer()
			w.requireNothingLeft(t)
			w.requireState(t, old)
			w.requireWhole(t)
			require.Equal(t, was, all())
		})
	}
}

// TestHalfDoneLame: an endpoint whose port cannot be seen is no wreck. An Apply that removes it, and fails, puts it back.
func TestHalfDoneLame(t *testing.T) {
	w := newWorld(t)
	sw := ovstest.Start(t, w.ns.Do)
	sw.Bridge("ovs0")
	w.options.OVS = sw.Socket()
	w.open(t)
	s := state(t, `{"localEndpoints":[{"vni":7,"addresses":["10.0.0.1/24"],"mac":"02:00:00:00:00:01","ovs":{"bridge":"ovs0"},"hostInterface":"mzone"}]}`)
	w.apply(t, s)
	was := w.kernel(t)
	for _, back := range []bool{true, false} {
		sw.StopDaemon()
		w.failsAfter(t, &pb.State{}, func() {
			if back {
				sw.StartDaemon()
				sw.Await()
			}
		})
		if back {
			require.Equal(t, was, w.kernel(t))
		} else {
			require.NotEqual(t, was, w.kernel(t))
			sw.StartDaemon()
		}
		w.requireNothingLeft(t)
		require.Equal(t, was, w.kernel(t))
		w.requireState(t, s)
		w.requireWhole(t)
	}
}

// TestHalfDonePort: Open vSwitch dies while it makes the port of an endpoint that moves there. The endpoint is at its Linux
// bridge again, and when Open vSwitch is back, with a row of a port of that name, it stays there, whole.
func TestHalfDonePort(t *testing.T) {
	w := newWorld(t)
	sw := ovstest.Start(t, w.ns.Do)
	sw.Bridge("ovs0")
	w.options.OVS = sw.Socket()
	w.open(t)
	const format = `{"bridges":[{"name":"br0"}], "localEndpoints":[{"vni":7,"addresses":["10.0.0.1/24"],"mac":"02:00:00:00:00:01",%s,"hostInterface":"mzone"}]}`
	s := state(t, format, `"bridge":{"bridge":"br0"}`)
	w.apply(t, s)
	was, rows := w.kernel(t), sw.Rows()
	moved := state(t, format, `"ovs":{"bridge":"ovs0"}`)
	applied := make(chan error, 1)
	sw.FreezeDaemon()
	go func() {
		_, err := w.h.Apply(t.Context(), &pb.ApplyRequest{State: moved}, "test")
		applied <- err
	}()
	require.Eventually(t, func() bool { return sw.Rows() != rows }, 10*time.Second, 10*time.Millisecond)
	sw.StopServer()
	sw.StopDaemon()
	require.ErrorIs(t, <-applied, ovs.ErrUnavailable)
	require.Equal(t, was, w.kernel(t))
	left, err := w.h.healOnce(t.Context()) // while it is away, nothing is to be seen of it
	require.NoError(t, err)
	require.NotZero(t, left)
	sw.StartServer()
	require.NotEqual(t, rows, sw.Rows())
	sw.StartDaemon()
	w.requireNothingLeft(t)
	require.Equal(t, rows, sw.Rows())
	require.Equal(t, was, w.kernel(t))
	w.requireState(t, s)
	w.requireWhole(t)
}
