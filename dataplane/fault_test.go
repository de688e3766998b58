// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"errors"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/droplet"
	"github.com/mizar-go/mizar/endpoint"
	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/snapshot"
	"github.com/mizar-go/mizar/internal/testutil"
)

// snapshot is all that an instance may change: its host's and given namespaces, pins, and rows, if it has
// any.
func (h *host) snapshot(t *testing.T, others ...*netns.Handle) []string {
	t.Helper()
	lines := snapshot.Pins(t, h.bpffs)
	for _, ns := range append([]*netns.Handle{h.ns}, others...) {
		lines = append(lines, snapshot.Network(t, ns)...)
	}
	there, err := h.pins().exist()
	require.NoError(t, err)
	if !there {
		return lines
	}
	tables, err := bpf.LoadPinnedTables(h.pins().tables())
	require.NoError(t, err)
	defer tables.Close()
	require.NoError(t, tables.Each(func(name string, m *ebpf.Map) error {
		more, err := snapshot.Rows(name, m)
		lines = append(lines, more...)
		return err
	}))
	return lines
}

var errInjected = errors.New("injected")

// failEach has Open fail at each of its steps in turn, until it comes to no more and opens. It gives the
// steps, by name and how many.
func (h *host) failEach(t *testing.T, failed func(step string)) map[string]int {
	t.Helper()
	steps := make(map[string]int)
	for n := 0; ; n++ {
		i, at := 0, ""
		dp, err := open(t.Context(), h.config(), func(step string) error {
			if i++; i == n+1 {
				at = step
				return errInjected
			}
			return nil
		})
		if at == "" {
			require.NoError(t, err)
			require.NoError(t, dp.Close())
			return steps
		}
		require.ErrorIs(t, err, errInjected, at)
		steps[at]++
		failed(at)
	}
}

func TestFailedOpenLeavesNothing(t *testing.T) {
	h := newHost(t)
	before := h.snapshot(t)
	ended, end := context.WithCancel(t.Context())
	end()
	_, err := Open(ended, h.config())
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, before, h.snapshot(t))

	steps := h.failEach(t, func(step string) {
		require.Equal(t, before, h.snapshot(t), step)
	})
	require.Equal(t, map[string]int{
		"tables": 1, "programs": 1, "pin tables": 1, "pin programs": 1, "settings": 1, "publish": 1,
	}, steps)
	h.destroy(t)
	require.Equal(t, before, h.snapshot(t))
}

// TestFailedAdoptionChangesNothing: neither where nothing is to be done, nor where the device of route
// lookups has to be made again, or programs replaced.
func TestFailedAdoptionChangesNothing(t *testing.T) {
	for name, change := range map[string]func(h *host, t testing.TB){
		"as it was":     func(*host, testing.TB) {},
		"no device":     (*host).removeFIB,
		"other's build": (*host).foreign,
	} {
		t.Run(name, func(t *testing.T) {
			h, other := newHosts(t)
			empty := h.snapshot(t)
			workload := testutil.NewNS(t)
			c := contentsOf(h, other, 1, 2)
			dp := h.open(t)
			require.NoError(t, c.fill(t.Context(), dp, droplet.Native, endpoint.FD(workload.FD())))
			require.NoError(t, dp.Close())
			change(h, t)
			before := h.snapshot(t, workload)
			h.failEach(t, func(step string) {
				require.Equal(t, before, h.snapshot(t, workload), step)
			})
			h.destroy(t)
			require.Equal(t, empty, h.snapshot(t))
		})
	}
}

// removeFIB deletes the device of route lookups, as an administrator might.
func (h *host) removeFIB(t testing.TB) {
	t.Helper()
	dp := h.open(t)
	require.NoError(t, dp.Droplet.m.RemoveFIB(t.Context()))
	require.NoError(t, dp.Close())
}

// TestFailedDestroyCanBeRepeated: what it takes to put things back stays pinned.
func TestFailedDestroyCanBeRepeated(t *testing.T) {
	for name, fail := range map[string]func(t *testing.T, h *host){
		"context": func(t *testing.T, h *host) {
			ended, end := context.WithCancel(t.Context())
			end()
			dp := h.open(t)
			require.ErrorIs(t, dp.Destroy(ended), context.Canceled)
			require.ErrorIs(t, dp.Destroy(t.Context()), ErrClosed)
		},
		"capability": func(t *testing.T, h *host) {
			dp := h.open(t)
			// In the thread's own namespace already, all of it stays on the thread.
			testutil.In(t, h.ns, func() error {
				testutil.Without(t, unix.CAP_NET_ADMIN, func() {
					require.ErrorIs(t, dp.Destroy(t.Context()), ErrPermission)
				})
				return nil
			})
		},
		"device of route lookups": func(t *testing.T, h *host) {
			dp := h.open(t)
			s, err := dp.rows.Settings.Get()
			require.NoError(t, err)
			testutil.In(t, h.ns, func() error {
				dev, err := netlink.LinkByIndex(s.FIBIfindex)
				require.NoError(t, err)
				peer, err := netlink.LinkByIndex(dev.Attrs().ParentIndex)
				require.NoError(t, err)
				require.NoError(t, netlink.LinkSetName(peer, "theirs"))
				require.ErrorIs(t, dp.Destroy(t.Context()), droplet.ErrBusy)
				return netlink.LinkSetName(peer, peer.Attrs().Name)
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			h, other := newHosts(t)
			workload := testutil.NewNS(t)
			before := h.snapshot(t, workload)
			c := contentsOf(h, other, 1, 2)
			dp := h.open(t)
			require.NoError(t, c.fill(t.Context(), dp, droplet.Native, endpoint.FD(workload.FD())))
			require.NoError(t, dp.Close())
			fail(t, h)
			h.destroy(t)
			require.Equal(t, before, h.snapshot(t, workload))
		})
	}
}
