// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"github.com/mizar-go/mizar/internal/testutil"
)

func TestUpdate(t *testing.T) {
	testutil.Root(t)
	for _, w := range ways() {
		t.Run(w.name, func(t *testing.T) {
			r := newRig(t)
			a, b := w.passing(t, "a"), w.passing(t, "b")
			require.ErrorIs(t, r.update(w, b.Program), ErrNotFound)
			require.NoError(t, r.attach(w, a.Program))
			require.NoError(t, r.update(w, b.Program))
			require.True(t, r.runs(b))
			require.False(t, r.runs(a))
			require.Equal(t, []Pinned{{Ifindex: r.ifindex, Hook: w.hook, Program: b.id(t)}}, r.list())
			after := r.state()

			require.NoError(t, r.update(w, b.Program), "by itself")
			require.True(t, r.runs(b))
			require.Equal(t, after, r.state())

			require.ErrorIs(t, r.update(w, nil), ErrInvalid)
			wrong := way{hook: TransitXDP}
			if w.hook.XDP() {
				wrong.hook = TransitTCX
			}
			require.ErrorIs(t, r.update(w, wrong.passing(t, "c").Program), ErrInvalid)
			require.True(t, r.runs(b), "T19: a failed change leaves the old one working")
			require.NoError(t, r.detach(w))
			require.False(t, r.runs(b))
		})
	}
}

// T18: there is no moment without a program. All programs drop; nothing may get through while they are
// swapped.
func TestUpdateWithoutGap(t *testing.T) {
	testutil.Root(t)
	for _, w := range ways() {
		t.Run(w.name, func(t *testing.T) {
			r := newRig(t)
			programs := []*counter{w.dropping(t, "a"), w.dropping(t, "b")}
			require.NoError(t, r.attach(w, programs[0].Program))
			for _, p := range programs {
				require.NoError(t, r.update(w, p.Program))
				require.True(t, r.runs(p))
			}
			before := r.received()

			stop, stopped := make(chan struct{}), make(chan struct{})
			var sent atomic.Uint64
			send, err := testutil.DialUDP(t, r.peer, netip.AddrPort{}, netip.MustParseAddrPort("192.0.2.1:9"))
			require.NoError(t, err)
			go func() {
				defer close(stopped)
				for {
					select {
					case <-stop:
						return
					default:
						if _, err := send.Write([]byte("hello")); err == nil {
							sent.Add(1)
						}
					}
				}
			}()
			const swaps = 100
			for i := range swaps {
				at := sent.Load()
				require.NoError(t, r.update(w, programs[i%2].Program))
				testutil.Eventually(t, 5*time.Second, func() error {
					if sent.Load() == at {
						return os.ErrDeadlineExceeded
					}
					return nil
				})
			}
			close(stop)
			<-stopped
			require.NoError(t, r.detach(w))
			require.Equal(t, before, r.received(), "of %d packets", sent.Load())
			for _, p := range programs {
				require.Greater(t, p.count(t), uint64(swaps/4))
			}
			// It would have shown.
			testutil.Eventually(t, 5*time.Second, func() error {
				if _, _ = send.Write([]byte("hello")); r.received() == before {
					return os.ErrDeadlineExceeded
				}
				return nil
			})
		})
	}
}

// received counts the IP packets that the namespace's stack has taken in.
func (r *rig) received() string {
	r.Helper()
	var counts []byte
	r.in(func() (err error) {
		counts, err = os.ReadFile("/proc/thread-self/net/snmp")
		return err
	})
	return field(r, string(counts), "Ip", "InReceives")
}

// An update that a kill cut short can be seen, done again and undone.
func TestClsactUpdateCutShort(t *testing.T) {
	testutil.Root(t)
	w := way{name: "clsact", hook: TransitTCX}
	for name, replaced := range map[string]bool{"before the filter": false, "after the filter": true} {
		t.Run(name, func(t *testing.T) {
			for _, retry := range []bool{false, true} {
				r := newRig(t)
				a, b := w.passing(t, "a"), w.passing(t, "b")
				require.NoError(t, r.attach(w, a.Program))
				require.NoError(t, pinCopy(b.Program, filepath.Join(r.dir, stagedName(w.hook, r.ifindex))))
				runs := a
				if replaced {
					r.in(func() error { return netlink.FilterReplace(newFilter(r.ifindex, w.hook, b.Program)) })
					runs = b
				}
				require.True(t, r.runs(runs))
				require.Len(t, r.list(), 1)
				require.False(t, r.list()[0].Gone)
				require.ErrorIs(t, r.attach(w, a.Program), ErrBusy)
				if retry {
					require.NoError(t, r.update(w, b.Program))
					require.True(t, r.runs(b))
					require.Equal(t, b.id(t), r.list()[0].Program)
				}
				require.NoError(t, r.detach(w))
				require.False(t, r.runs(a))
				require.False(t, r.runs(b))
				entries, err := os.ReadDir(r.dir)
				require.NoError(t, err)
				require.Empty(t, entries)
			}
		})
	}
}

// T19: where the new program cannot be pinned, the old one stays.
func TestClsactUpdateFails(t *testing.T) {
	testutil.Root(t)
	w := way{name: "clsact", hook: TransitTCX}
	r := newRig(t)
	a, b := w.passing(t, "a"), w.passing(t, "b")
	require.NoError(t, r.attach(w, a.Program))
	before := r.state()

	staged := filepath.Join(r.dir, stagedName(w.hook, r.ifindex))
	require.NoError(t, os.MkdirAll(filepath.Join(staged, "full"), 0o700)) // cannot be removed
	require.Error(t, r.update(w, b.Program))
	require.True(t, r.runs(a))
	require.NoError(t, os.RemoveAll(staged))
	require.Equal(t, before, r.state())
	require.NoError(t, r.update(w, b.Program))
	require.True(t, r.runs(b))
	require.NoError(t, r.detach(w))
}

// Somebody else took the program off: there is nothing to update, but to detach.
func TestDetachedByOthers(t *testing.T) {
	testutil.Root(t)
	for _, w := range ways() {
		t.Run(w.name, func(t *testing.T) {
			r := newRig(t)
			p := w.passing(t, "ours")
			require.NoError(t, r.attach(w, p.Program))
			r.in(func() error {
				a, err := open(r.dir, r.ifindex, w.hook)
				if err != nil {
					return err
				}
				defer a.Close()
				return a.detach()
			})
			require.False(t, r.runs(p))
			require.Equal(t, []Pinned{{Ifindex: r.ifindex, Hook: w.hook, Program: p.id(t), Gone: true}}, r.list())
			require.ErrorIs(t, r.update(w, p.Program), ErrNotFound)
			require.False(t, r.runs(p))
			require.NoError(t, r.detach(w))
			require.Empty(t, r.list())
			require.NoError(t, r.attach(w, p.Program))
			require.True(t, r.runs(p))
			require.NoError(t, r.detach(w))
		})
	}
}
