// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/droplet"
	"github.com/mizar-go/mizar/endpoint"
	"github.com/mizar-go/mizar/internal/attach"
	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/testutil"
)

// fleet is two hosts with an endpoint each, and a second one on the first.
type fleet struct {
	a, b         *host
	web, db, far *netns.Handle // 10.0.0.1 and .3 on a, .2 on b
}

func newFleet(t *testing.T, mode droplet.Mode) *fleet {
	t.Helper()
	a, b := newHosts(t)
	f := &fleet{a: a, b: b, web: testutil.NewNS(t), db: testutil.NewNS(t), far: testutil.NewNS(t)}
	ctx := t.Context()
	dpA, dpB := a.open(t), b.open(t)
	require.NoError(t, contentsOf(a, b, 1, 2).fill(ctx, dpA, mode, endpoint.FD(f.web.FD())))
	require.NoError(t, contentsOf(b, a, 2, 1).fill(ctx, dpB, mode, endpoint.FD(f.far.FD())))
	_, err := dpA.Endpoint.Create(ctx, endpoint.Config{
		VNI: vni, Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.3/24")}, NetNS: endpoint.FD(f.db.FD()),
		HostInterface: "mzdb", Mode: agentMode(mode),
	})
	require.NoError(t, err)
	require.NoError(t, dpA.Close())
	require.NoError(t, dpB.Close())
	f.requirePing(t)
	return f
}

// ping has both kinds of traffic run: by the tail call on one host, and by the tunnel.
func (f *fleet) ping(t *testing.T) (stop func()) {
	t.Helper()
	var all []*testutil.Pinger
	for _, dst := range []string{"10.0.0.2", "10.0.0.3"} {
		all = append(all, testutil.StartPing(t, f.web, testutil.PingConfig{
			Dst: netip.MustParseAddr(dst), Interval: 2 * time.Millisecond, Timeout: patience,
		}))
	}
	return func() {
		t.Helper()
		for _, p := range all {
			r := p.Stop()
			if r.Lost != 0 {
				logCounters(t, f.a, f.b)
			}
			require.Zero(t, r.Lost, r.Errors)
			require.Greater(t, r.Sent, 10)
		}
	}
}

func (f *fleet) requirePing(t *testing.T) {
	t.Helper()
	for _, dst := range []string{"10.0.0.2", "10.0.0.3"} {
		requireReachable(t, f.web, netip.MustParseAddr(dst))
	}
}

func (f *fleet) destroy(t *testing.T) {
	t.Helper()
	f.a.destroy(t)
	f.b.destroy(t)
	require.Empty(t, f.a.files(t))
}

// running are the programs attached to a host's interfaces.
func (h *host) running(t *testing.T) map[attach.Hook]ebpf.ProgramID {
	t.Helper()
	ids := make(map[attach.Hook]ebpf.ProgramID)
	testutil.In(t, h.ns, func() error {
		pinned, err := attach.List(h.pins().links())
		for _, p := range pinned {
			require.False(t, p.Gone)
			if before, ok := ids[p.Hook]; ok {
				require.Equal(t, before, p.Program, p.Hook)
			}
			ids[p.Hook] = p.Program
		}
		return err
	})
	require.NotEmpty(t, ids)
	return ids
}

// requirePinned checks that what runs is what is pinned, and that nothing else is left of a change.
func (h *host) requirePinned(t *testing.T) {
	t.Helper()
	pinned, err := bpf.LoadPinnedPrograms(h.pins().programs())
	require.NoError(t, err)
	defer pinned.Close()
	for hook, id := range h.running(t) {
		_, is, err := program(pinned, attach.Pinned{Hook: hook, Program: id})
		require.NoError(t, err)
		require.True(t, is, hook)
	}
	require.Equal(t, []string{"v2"}, entries(t, h.pins().dir))
}

// TestT18UpgradeUnderTraffic: another build's programs are replaced by ours, every one of them, and no
// packet is lost meanwhile.
func TestT18UpgradeUnderTraffic(t *testing.T) {
	inEachMode(t, func(t *testing.T, mode droplet.Mode) {
		f := newFleet(t, mode)
		f.a.foreign(t)
		old := f.a.running(t)
		stop := f.ping(t)
		dp, err := Open(t.Context(), f.a.config())
		require.NoError(t, err)
		require.True(t, dp.Report().Upgraded)
		for hook, id := range f.a.running(t) {
			require.NotEqual(t, old[hook], id, hook)
		}
		f.a.requirePinned(t)
		f.requirePing(t)
		stop()
		s, err := dp.rows.Settings.Get()
		require.NoError(t, err)
		require.Equal(t, bpf.Build(), s.Build)
		require.NoError(t, dp.Close())
		// Nothing keeps the old ones.
		for hook, id := range old {
			testutil.Eventually(t, patience, func() error {
				p, err := ebpf.NewProgramFromID(id)
				if err == nil {
					return errors.Join(errors.New(hook.String()+" is still there"), p.Close())
				}
				return nil
			})
		}
		f.destroy(t)
	})
}

// TestT19FailedUpgradeKeepsTheOld: wherever it fails, what ran before runs after, without a gap, and a
// later Open gets there.
func TestT19FailedUpgradeKeepsTheOld(t *testing.T) {
	inEachMode(t, func(t *testing.T, mode droplet.Mode) {
		f := newFleet(t, mode)
		f.a.foreign(t)
		old := f.a.running(t)
		stop := f.ping(t)
		steps := f.a.failEach(t, func(step string) {
			require.Equal(t, old, f.a.running(t), step)
			f.a.requirePinned(t)
		})
		require.Equal(t, map[string]int{
			"adopt tables": 1, "load programs": 1, "update link": map[bool]int{false: 3, true: 6}[mode.XDP()], "exchange": 1, "settings": 1,
		}, steps)
		for hook, id := range f.a.running(t) {
			require.NotEqual(t, old[hook], id, hook)
		}
		stop()
		f.destroy(t)
	})
}

// TestT18KilledInTheMiddleOfAnUpgrade: the links run new programs, the pins and the settings speak of the
// old ones. Traffic flows then, too, and the next Open, of whichever build, ends it.
func TestT18KilledInTheMiddleOfAnUpgrade(t *testing.T) {
	for name, older := range map[string]bool{"then the newer": false, "then the older": true} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t, droplet.TCX)
			f.a.foreign(t)
			old := f.a.running(t)
			stop := f.ping(t)
			f.a.killed(t, upgrade, f.web)
			middle := f.a.running(t)
			require.NotEqual(t, old, middle)
			require.Len(t, entries(t, f.a.pins().dir), 2)
			if older {
				// As the library of the old build sees it: its number is in the settings.
				f.a.putBuild(t, bpf.Build())
			}
			dp, err := Open(t.Context(), f.a.config())
			require.NoError(t, err)
			require.Equal(t, !older, dp.Report().Upgraded)
			require.NoError(t, dp.Close())
			f.a.requirePinned(t)
			if older {
				require.Equal(t, old, f.a.running(t))
			}
			f.requirePing(t)
			stop()
			f.destroy(t)
		})
	}
}
