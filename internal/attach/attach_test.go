// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"testing"

	"github.com/cilium/ebpf/features"
	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/internal/testutil"
)

func TestAttachDetach(t *testing.T) {
	testutil.Root(t)
	for _, w := range ways() {
		t.Run(w.name, func(t *testing.T) {
			r := newRig(t)
			clean := r.state()
			p := w.passing(t, "ours")
			require.False(t, r.runs(p))

			testutil.Leaks(t)
			require.NoError(t, r.attach(w, p.Program))
			require.True(t, r.runs(p))
			require.Equal(t, []Pinned{{Ifindex: r.ifindex, Hook: w.hook, Program: p.id(t)}}, r.list())
			require.Contains(t, r.state(), "pin "+pinName(w.hook, r.ifindex))

			busy := r.state()
			err := r.attach(w, p.Program)
			require.ErrorIs(t, err, ErrBusy)
			require.ErrorContains(t, err, "attach "+w.hook.String()+" to eth0")
			require.Equal(t, busy, r.state())
			require.True(t, r.runs(p))

			require.NoError(t, r.detach(w))
			require.False(t, r.runs(p))
			require.Empty(t, r.list())
			if w.name == "clsact" {
				require.Contains(t, r.state(), "qdisc clsact", "only who made it may know that it can go")
				r.in(func() error { return DetachClsact(r.ifindex) })
			}
			require.Equal(t, clean, r.state())
			require.NoError(t, r.detach(w), "once more")

			require.NoError(t, r.attach(w, p.Program), "and again")
			require.True(t, r.runs(p))
			require.NoError(t, r.detach(w))
		})
	}
}

// All hooks of one interface at once, as on a droplet in XDP mode.
func TestAttachTwins(t *testing.T) {
	testutil.Root(t)
	for _, w := range ways() {
		if w.hook.XDP() {
			continue
		}
		t.Run(w.name, func(t *testing.T) {
			r := newRig(t)
			native := ways()[0]
			x, s := native.passing(t, "x"), w.passing(t, "s")
			require.NoError(t, r.attach(w, s.Program))
			require.NoError(t, r.attach(native, x.Program))
			require.True(t, r.runs(x))
			require.True(t, r.runs(s))
			require.Len(t, r.list(), 2)
			require.NoError(t, r.detach(native))
			require.True(t, r.runs(s))
			require.False(t, r.runs(x))
		})
	}
}

func TestHaveTCX(t *testing.T) {
	testutil.Root(t)
	version, err := features.LinuxVersionCode()
	require.NoError(t, err)
	require.Equal(t, version >= 6<<16|6<<8, HaveTCX(), "tcx came with 6.6")
}

func TestPinNames(t *testing.T) {
	for h := TransitXDP; h.valid(); h++ {
		for _, ifindex := range []int{1, 42, 1 << 30} {
			hook, index, ok := parsePinName(pinName(h, ifindex))
			require.True(t, ok)
			require.Equal(t, h, hook)
			require.Equal(t, ifindex, index)
			_, _, ok = parsePinName(stagedName(h, ifindex))
			require.False(t, ok)
		}
	}
	require.Equal(t, "transit_xdp-7", pinName(TransitXDP, 7), "pins outlive the library's version")
	require.Equal(t, "transit_tcx-7", pinName(TransitTCX, 7))
	require.Equal(t, "agent_xdp-7", pinName(AgentXDP, 7))
	require.Equal(t, "agent_tcx-7", pinName(AgentTCX, 7))
	for _, name := range []string{"", "-", "transit_xdp", "transit_xdp-", "transit_xdp-0", "transit_xdp--1", "transit_xdp-07", "transit_xdp-+7", "-7", "other-7", "transit_xdp-7-8"} {
		_, _, ok := parsePinName(name)
		require.False(t, ok, name)
	}
}
