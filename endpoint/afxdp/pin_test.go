// SPDX-License-Identifier: Apache-2.0

package afxdp

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

// attached tells whether fn0 has an XDP program.
func (r *rig) attached() (is bool) {
	r.t.Helper()
	testutil.In(r.t, r.fn, func() error {
		l, err := netlink.LinkByName("fn0")
		if err == nil {
			is = l.Attrs().Xdp.Attached
		}
		return err
	})
	return is
}

// While a function is dead its packets are dropped, and counted; the next one takes over what is there.
func TestPinned(t *testing.T) {
	r := newRig(t, 0)
	dir := filepath.Join(testutil.BPFFS(t), "function")
	w := r.wire()
	for i := range 3 {
		p, s := r.open(Config{Pin: dir})
		require.Equal(t, i > 0, p.Mode == bpf.Auto, p.Why)
		w.send(numbered(t, i, 100))
		require.Equal(t, [][]byte{numbered(t, i, 100)}, collect(t, s, 1))
		n, err := p.Unclaimed()
		require.NoError(t, err)
		require.EqualValues(t, 5*i, n)
		require.NoError(t, p.Close()) // as when it dies: all that it has is closed
		_, err = p.Unclaimed()
		require.ErrorIs(t, err, os.ErrClosed)
		require.True(t, r.attached())
		testutil.Eventually(t, patience, func() error { // until the kernel has let go of the socket
			before, err := Unclaimed(dir)
			if err != nil {
				return err
			}
			if before > uint64(5*i) {
				return nil
			}
			w.send(numbered(t, 9, 100))
			after, err := Unclaimed(dir)
			if err == nil && after == before {
				err = fmt.Errorf("%d were not claimed", after)
			}
			return err
		})
		for n, err := Unclaimed(dir); n < uint64(5*(i+1)); n, err = Unclaimed(dir) {
			require.NoError(t, err)
			w.send(numbered(t, 9, 100))
			testutil.Eventually(t, patience, func() error {
				if now, err := Unclaimed(dir); err != nil || now == n {
					return fmt.Errorf("%d were not claimed: %v", now, err)
				}
				return nil
			})
		}
	}
	require.NoError(t, Remove(dir))
	testutil.Eventually(t, patience, func() error {
		if r.attached() {
			return fmt.Errorf("the program is there still")
		}
		return nil
	})
	require.NoError(t, Remove(dir))
	require.NoDirExists(t, dir)
	_, err := Unclaimed(dir)
	require.ErrorIs(t, err, maps.ErrNotFound)
}

// What is pinned of an interface that is gone, or half, makes room; what is something else does not.
func TestPinnedOfAnother(t *testing.T) {
	r := newRig(t, 0)
	dir := filepath.Join(testutil.BPFFS(t), "function")
	p, _ := r.open(Config{Pin: dir})
	require.NoError(t, p.Close())
	other := newRig(t, 0)
	testutil.In(t, r.fn, func() error {
		l, err := netlink.LinkByName("fn0")
		if err == nil {
			err = netlink.LinkDel(l)
		}
		return err
	})
	p, s := other.open(Config{Pin: dir})
	other.wire().send(numbered(t, 1, 100))
	require.Equal(t, [][]byte{numbered(t, 1, 100)}, collect(t, s, 1))
	require.NoError(t, p.Close())

	require.NoError(t, os.Remove(filepath.Join(dir, pinnedProgram))) // killed before it was there
	p, _ = other.open(Config{Pin: dir})
	require.NoError(t, p.Close())
	require.NoError(t, os.Remove(filepath.Join(dir, pinnedUnclaimed)))
	_, err := Open(t.Context(), other.config(Config{Pin: dir}))
	require.ErrorIs(t, err, maps.ErrNotFound)
	require.True(t, other.attached())
	require.NoError(t, Remove(dir))
	sockets, err := newMap(1)
	require.NoError(t, err)
	defer sockets.Close()
	_, err = Open(t.Context(), other.config(Config{Pin: dir, Map: sockets}))
	require.ErrorIs(t, err, maps.ErrInvalid)
}
