// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"github.com/mizar-go/mizar/internal/testutil"
)

// The interface goes, and another gets its number.
func TestGone(t *testing.T) {
	testutil.Root(t)
	for _, w := range ways() {
		t.Run(w.name, func(t *testing.T) {
			r := newRig(t)
			p := w.passing(t, "ours")
			require.NoError(t, r.attach(w, p.Program))
			testutil.Delete(t, r.ns, "eth0")
			gone := []Pinned{{Ifindex: r.ifindex, Hook: w.hook, Program: p.id(t), Gone: true}}
			require.Equal(t, gone, r.list())
			require.ErrorIs(t, r.update(w, p.Program), ErrNotFound)
			require.ErrorIs(t, r.attach(w, p.Program), ErrNotFound)

			again := func() {
				r.in(func() error {
					attrs := netlink.NewLinkAttrs()
					attrs.Name, attrs.Index = "eth0", r.ifindex
					return netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsFd(r.peer.FD())})
				})
			}
			again()
			require.Equal(t, gone, r.list(), "the new one has not inherited it")
			require.ErrorIs(t, r.update(w, p.Program), ErrNotFound)
			require.NoError(t, r.attach(w, p.Program), "what the old one left is not in the way")
			require.False(t, r.list()[0].Gone)

			testutil.Delete(t, r.ns, "eth0")
			require.NoError(t, r.detach(w))
			require.Empty(t, r.list())
			again()
			require.Empty(t, pins(r.state()))
		})
	}
}

func pins(state []string) (p []string) {
	for _, s := range state {
		if match, _ := filepath.Match("pin *", s); match {
			p = append(p, s)
		}
	}
	return p
}

// The interface moves to another network namespace. Links go with it, filters do not.
func TestMoved(t *testing.T) {
	testutil.Root(t)
	for _, w := range ways() {
		t.Run(w.name, func(t *testing.T) {
			r := newRig(t)
			p := w.passing(t, "ours")
			require.NoError(t, r.attach(w, p.Program))
			away := testutil.NewNS(t)
			r.in(func() error { return netlink.LinkSetNsFd(testutil.Link(r, r.ns, "eth0"), away.FD()) })
			require.Len(t, r.list(), 1)
			require.True(t, r.list()[0].Gone)
			require.NoError(t, r.detach(w))
			require.Empty(t, r.list())
			dev := testutil.Link(t, away, "eth0").Attrs()
			require.False(t, dev.Xdp != nil && dev.Xdp.Attached)
			moved := *r
			moved.ns, moved.ifindex = away, dev.Index
			for _, s := range moved.state() {
				require.NotContains(t, s, "tcx program")
				require.NotContains(t, s, "filter")
			}
		})
	}
}
