// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/internal/testutil"
)

// What is attached and cannot be pinned is taken off again.
func TestPinFails(t *testing.T) {
	testutil.Root(t)
	for _, w := range ways() {
		t.Run(w.name, func(t *testing.T) {
			r := newRig(t)
			p := w.passing(t, "ours")
			testutil.Leaks(t)
			r.dir = t.TempDir() // no bpffs
			r.refuses(w, p.Program, nil)
			require.False(t, r.runs(p))

			r.dir = filepath.Join(testutil.BPFFS(t), "none")
			require.Error(t, r.attach(w, p.Program))
			require.False(t, r.runs(p))
			require.NoError(t, os.Mkdir(r.dir, 0o700))
			require.NoError(t, r.attach(w, p.Program))
			require.NoError(t, r.detach(w))
		})
	}
}

func TestInvalid(t *testing.T) {
	testutil.Root(t)
	r := newRig(t)
	w := ways()[0]
	x, s := w.passing(t, "x"), way{hook: TransitTCX}.passing(t, "s")
	good := Spec{Ifindex: r.ifindex, Hook: TransitXDP, Mode: bpf.Native, Program: x.Program, Dir: r.dir}
	before := r.state()
	for name, spoil := range map[string]func(*Spec){
		"no interface":                func(s *Spec) { s.Ifindex = 0 },
		"negative interface":          func(s *Spec) { s.Ifindex = -1 },
		"no hook":                     func(s *Spec) { s.Hook = 0 },
		"unknown hook":                func(s *Spec) { s.Hook = AgentTCX + 1 },
		"no program":                  func(s *Spec) { s.Program = nil },
		"program of the other type":   func(x *Spec) { x.Program = s.Program },
		"no directory":                func(s *Spec) { s.Dir = "" },
		"tcx for an XDP hook":         func(s *Spec) { s.Mode = bpf.TCX },
		"automatic for an XDP hook":   func(s *Spec) { s.Mode = bpf.Auto },
		"XDP program for a tcx hook":  func(s *Spec) { s.Hook = AgentTCX },
		"mode that there is not (42)": func(s *Spec) { s.Mode = 42 },
	} {
		spec := good
		spoil(&spec)
		require.ErrorIs(t, r.ns.Do(func() error { return Attach(spec) }), ErrInvalid, name)
		require.Equal(t, before, r.state(), name)
	}
	missing := good
	missing.Ifindex = 1 << 30
	require.ErrorIs(t, r.ns.Do(func() error { return Attach(missing) }), ErrNotFound)
	require.NoError(t, r.ns.Do(func() error { return Attach(good) }))
	require.NoError(t, r.ns.Do(func() error { return Detach(r.dir, r.ifindex, TransitXDP) }))
	_, err := List(filepath.Join(r.dir, "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

// A mode that the driver cannot do is a typed error that names both.
func TestNotSupported(t *testing.T) {
	testutil.Root(t)
	r := newRig(t)
	testutil.Bridge(t, r.ns, "br0")
	xdp := way{hook: TransitXDP}.passing(t, "x")
	attach := func(name string, mode bpf.Mode) error {
		return r.ns.Do(func() error {
			return Attach(Spec{Ifindex: testutil.Ifindex(r, r.ns, name), Hook: TransitXDP, Mode: mode, Program: xdp.Program, Dir: r.dir})
		})
	}
	before := r.state()
	for _, c := range []struct {
		device, driver string
		mode           bpf.Mode
	}{{"br0", "bridge", bpf.Native}, {"br0", "bridge", bpf.Offload}, {"eth0", "veth", bpf.Offload}} {
		err := attach(c.device, c.mode)
		require.ErrorIs(t, err, bpf.ErrNotSupported)
		require.ErrorContains(t, err, fmt.Sprintf("%s XDP on %s (driver %s)", c.mode, c.device, c.driver))
	}
	// A program for one buffer, and a peer that sends more.
	testutil.MTU(t, r.ns, 9000, "eth0")
	testutil.MTU(t, r.peer, 9000, "eth0")
	err := attach("eth0", bpf.Native)
	require.ErrorIs(t, err, bpf.ErrNotSupported)
	require.ErrorContains(t, err, "MTU")
	require.Equal(t, before, r.state())
}

func TestPermission(t *testing.T) {
	testutil.Root(t)
	for _, w := range ways() {
		if w.hook.XDP() {
			continue // the kernel asks for none, from whoever has a loaded program
		}
		t.Run(w.name, func(t *testing.T) {
			r := newRig(t)
			p := w.passing(t, "ours")
			before := r.state()
			err := r.ns.Do(func() (err error) {
				testutil.Without(t, unix.CAP_SYS_ADMIN, func() {
					testutil.Without(t, unix.CAP_NET_ADMIN, func() {
						testutil.Without(t, unix.CAP_BPF, func() {
							err = w.k.attach(Spec{Ifindex: r.ifindex, Hook: w.hook, Mode: w.mode, Program: p.Program, Dir: r.dir})
						})
					})
				})
				return err
			})
			require.ErrorIs(t, err, bpf.ErrPermission)
			require.ErrorContains(t, err, "CAP_NET_ADMIN")
			require.Equal(t, before, r.state())
		})
	}
}

// T15: a pin that is not what we put there is refused, not used.
func TestWrongPins(t *testing.T) {
	testutil.Root(t)
	for _, w := range ways() {
		t.Run(w.name, func(t *testing.T) {
			r := newRig(t)
			p := w.passing(t, "ours")
			path := filepath.Join(r.dir, pinName(w.hook, r.ifindex))
			other := way{hook: TransitXDP, mode: bpf.Native}
			if w.hook.XDP() {
				other = way{hook: TransitTCX, k: w.k}
			}
			theirs := other.passing(t, "theirs")
			for name, put := range map[string]func() error{
				"a map":                       func() error { return pinMap(p.seen, path) },
				"a program of the other type": func() error { return pinCopy(theirs.Program, path) },
				"an attachment of the other hook": func() error {
					if err := r.attach(other, theirs.Program); err != nil {
						return err
					}
					return os.Rename(filepath.Join(r.dir, pinName(other.hook, r.ifindex)), path)
				},
			} {
				require.NoError(t, put(), name)
				before := r.state()
				require.ErrorIs(t, r.update(w, p.Program), bpf.ErrABI, name)
				r.refuses(w, p.Program, bpf.ErrABI)
				require.ErrorIs(t, r.detach(w), bpf.ErrABI, name)
				_, err := List(r.dir)
				require.ErrorIs(t, err, bpf.ErrABI, name)
				require.Equal(t, before, r.state(), name)
				require.NoError(t, os.Remove(path))
			}
			require.NoError(t, os.Mkdir(path, 0o700))
			require.Error(t, r.attach(w, p.Program))
			require.NoError(t, os.Remove(path))
		})
	}
}

func pinMap(m *ebpf.Map, path string) error {
	c, err := m.Clone()
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Pin(path)
}
