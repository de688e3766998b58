// SPDX-License-Identifier: Apache-2.0

package droplet

import (
	"context"
	"errors"
	"net/netip"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

var errInjected = errors.New("injected")

// failAt has the Manager fail at one step.
func (p *plane) failing(step string) {
	p.failAt = func(s string) error {
		if s == step {
			return errInjected
		}
		return nil
	}
}

// dying has whoever comes to a step end there, as if killed: nothing is taken back.
func (p *plane) dying(step string) {
	p.failAt = func(s string) error {
		if s == step {
			runtime.Goexit()
		}
		return nil
	}
}

// steps runs f and returns the names of its steps.
func (p *plane) steps(t *testing.T, f func() error) (names []string) {
	t.Helper()
	p.failAt = func(s string) error {
		names = append(names, s)
		return nil
	}
	defer func() { p.failAt = nil }()
	require.NoError(t, f())
	return names
}

// wait runs f in a goroutine of its own, which may end before its time.
func wait(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}

var modes = []Mode{TCX, Native, Generic}

// faults runs f for each mode and each step of attaching and detaching.
func faults(t *testing.T, f func(t *testing.T, p *plane, mode Mode, attaching, detaching []string)) {
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) {
			p, _ := newHost(t)
			attaching := p.steps(t, func() error {
				_, err := p.Attach(t.Context(), Config{Interface: "up0", Mode: mode})
				return err
			})
			want := []string{"restore", "settings", "tables", "slot", "tcx"}
			if mode.XDP() {
				want = append(want, "xdp")
			}
			require.Equal(t, want, attaching)
			detaching := p.steps(t, func() error { return p.Detach(t.Context(), "up0") })
			require.Equal(t, []string{"xdp", "tcx", "neighbours", "tables", "settings", "restore"}, detaching)
			f(t, p, mode, attaching, detaching)
		})
	}
}

func TestAttachFailsAtEachStep(t *testing.T) {
	faults(t, func(t *testing.T, p *plane, mode Mode, attaching, _ []string) {
		before := p.snapshot(t)
		for _, step := range attaching {
			p.failing(step)
			_, err := p.Attach(t.Context(), Config{Interface: "up0", Mode: mode})
			require.ErrorIs(t, err, errInjected, step)
			require.Equal(t, before, p.snapshot(t), step)
			require.Empty(t, p.list(t), step)
		}
		p.failAt = nil
		p.attach(t, mode)
		require.NotEqual(t, before, p.snapshot(t))
		p.detach(t)
		require.Equal(t, before, p.snapshot(t))
	})
}

// Where a refused mode leaves something behind, no other one is tried on top of it.
func TestNoOtherModeOverWhatIsLeft(t *testing.T) {
	p, _ := newHost(t)
	testutil.Bridge(t, p.ns, "br0") // no native XDP
	testutil.Addr(t, p.ns, "br0", "203.0.113.2/24")
	attach := func() (d *Droplet, err error) {
		return d, p.do(t.Context(), func() error {
			dev, err := deviceByName("br0")
			require.NoError(t, err)
			row := maps.Droplet{Ifindex: dev.index(), Addrs: []netip.Addr{netip.MustParseAddr("203.0.113.2")}, MTU: 1500}
			d, err = p.attachFirst(t.Context(), dev, row, []choice{{Native, "first"}, {TCX, "second"}})
			return err
		})
	}
	d, err := attach()
	require.NoError(t, err)
	require.Equal(t, TCX, d.Mode)
	require.NoError(t, p.Detach(t.Context(), "br0"))

	var steps []string
	p.failAt = func(s string) error {
		steps = append(steps, s)
		if s == "xdp" {
			return p.raw.Droplets.Freeze() // the row cannot be taken back
		}
		return nil
	}
	_, err = attach()
	require.ErrorIs(t, err, bpf.ErrNotSupported)
	require.ErrorIs(t, err, errLeft)
	require.ErrorContains(t, err, "take back tables")
	require.Equal(t, []string{"restore", "settings", "tables", "slot", "tcx", "xdp"}, steps)
}

func TestAttachIsCancelledAtEachStep(t *testing.T) {
	faults(t, func(t *testing.T, p *plane, mode Mode, attaching, _ []string) {
		before := p.snapshot(t)
		// A step that has begun is finished; the one behind it does not begin.
		for _, step := range attaching[:len(attaching)-1] {
			ctx, cancel := context.WithCancel(t.Context())
			p.failAt = func(s string) error {
				if s == step {
					cancel()
				}
				return nil
			}
			_, err := p.Attach(ctx, Config{Interface: "up0", Mode: mode})
			require.ErrorIs(t, err, context.Canceled, step)
			require.Equal(t, before, p.snapshot(t), step)
		}
	})
}

func TestDetachFailsAtEachStep(t *testing.T) {
	faults(t, func(t *testing.T, p *plane, mode Mode, _, detaching []string) {
		before := p.snapshot(t)
		for i, step := range detaching {
			p.attach(t, mode)
			require.NoError(t, p.Resolve(t.Context(), netip.MustParseAddr("192.0.2.2")))
			p.failing(step)
			require.ErrorIs(t, p.Detach(t.Context(), "up0"), errInjected, step)
			p.failAt = nil

			q := p.again(t)
			all := q.list(t)
			require.Len(t, all, 1, step)
			require.Equal(t, "up0", all[0].Interface, step)
			require.Equal(t, mode, all[0].Mode, step)
			require.False(t, all[0].Gone, step)
			// Where there is no XDP program, the first step has nothing to do.
			require.Equal(t, i > 1 || i == 1 && mode.XDP(), all[0].Partial, step)
			q.detach(t)
			require.Equal(t, before, p.snapshot(t), step)
		}
	})
}

// A process that is killed half-way leaves something that another lists, detaches, or attaches anew.
func TestKilledAtEachStep(t *testing.T) {
	faults(t, func(t *testing.T, p *plane, mode Mode, attaching, detaching []string) {
		before := p.snapshot(t)
		for i, step := range attaching {
			for _, attach := range []bool{false, true} {
				p.killed(t, "attach", mode, step)
				q := p.again(t)
				if i == 0 {
					require.Equal(t, before, p.snapshot(t))
					require.Empty(t, q.list(t))
					continue
				}
				all := q.list(t)
				require.Len(t, all, 1, step)
				require.True(t, all[0].Partial, step)
				require.Equal(t, "up0", all[0].Interface)
				if attach {
					require.False(t, q.attach(t, mode).Partial)
				}
				q.detach(t)
				require.Equal(t, before, p.snapshot(t), step)
			}
		}
		for _, step := range detaching {
			p.attach(t, mode)
			p.killed(t, "detach", mode, step)
			p.again(t).detach(t)
			require.Equal(t, before, p.snapshot(t), step)
		}
	})
}

func TestFIBFailsAtEachStep(t *testing.T) {
	testutil.Leaks(t)
	p := newPlane(t, testutil.NewNS(t), "blue")
	before := p.snapshot(t)
	steps := p.steps(t, func() error {
		_, err := p.SetupFIB(t.Context())
		return err
	})
	require.Equal(t, []string{"device", "number", "addresses", "forwarding4", "forwarding6"}, steps)
	require.NoError(t, p.RemoveFIB(t.Context()))
	for _, step := range steps {
		p.failing(step)
		_, err := p.SetupFIB(t.Context())
		require.ErrorIs(t, err, errInjected, step)
		require.Equal(t, before, p.snapshot(t), step)
	}
	// One that was there stays, and one that is half made is made whole.
	for _, step := range steps[1:] {
		p.dying(step)
		wait(func() { _, _ = p.SetupFIB(t.Context()) })
		p.failing(step)
		half := p.snapshot(t)
		_, err := p.SetupFIB(t.Context())
		require.ErrorIs(t, err, errInjected, step)
		require.Equal(t, half, p.snapshot(t), step)
		p.failAt = nil
		ifindex, err := p.again(t).SetupFIB(t.Context())
		require.NoError(t, err, step)
		requireForwarding(t, p.ns, ifindex)
		require.NoError(t, p.RemoveFIB(t.Context()))
		require.Equal(t, before, p.snapshot(t), step)
	}
}
