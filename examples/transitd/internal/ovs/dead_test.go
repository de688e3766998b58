// SPDX-License-Identifier: Apache-2.0

package ovs

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// soon is shorter than any patience, and long for this machine.
const soon = 3 * time.Second

// While ovs-vswitchd is dead and OVSDB is not, whoever would wait for it hears so at once, before anything is changed.
func TestDead(t *testing.T) {
	r := newRig(t)
	c := r.client("blue")
	r.add(c, Port{Bridge: "br0", Name: "e0", Workload: "w0"})
	r.StopDaemon()
	before := r.Vsctl("list", "port")
	at := time.Now()
	for _, p := range []Port{{Bridge: "br0", Name: "e1"}, {Bridge: "br1", Name: "e0"}, {Bridge: "br0", Name: "e0", Tag: 3}} {
		_, err := c.Check(t.Context(), p)
		require.ErrorIs(t, err, ErrUnavailable)
		_, err = c.Add(t.Context(), p)
		require.ErrorIs(t, err, ErrUnavailable)
	}
	require.Equal(t, before, r.Vsctl("list", "port"))
	require.NoError(t, c.Remove(t.Context(), "e0"))
	require.Less(t, time.Since(at), soon)
	require.Empty(t, r.ports(c))
}

// One that dies while somebody waits for it is not waited for any longer.
func TestDies(t *testing.T) {
	r := newRig(t)
	c := r.client("blue")
	r.FreezeDaemon()
	before := r.Rows()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := c.Add(ctx, Port{Bridge: "br0", Name: "e1"})
	require.ErrorIs(t, err, ErrUnavailable)
	require.ErrorIs(t, err, context.DeadlineExceeded, "one that lives may be slow")
	require.Equal(t, before, r.Rows())
	added := make(chan error, 1)
	go func() {
		_, err := c.Add(t.Context(), Port{Bridge: "br0", Name: "e1"})
		added <- err
	}()
	select {
	case err := <-added:
		t.Fatalf("it did not wait: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	require.NotEqual(t, before, r.Rows())
	r.StopDaemon()
	select {
	case err := <-added:
		require.ErrorIs(t, err, ErrUnavailable)
	case <-time.After(soon):
		t.Fatal("it waits for the dead")
	}
	require.Equal(t, before, r.Rows(), "it is taken back")
}
