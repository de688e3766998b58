// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/bpf"
)

// requireRefused checks that neither Open nor Inspect takes an instance as it is, and that looking has
// changed nothing.
func (h *host) requireRefused(t *testing.T, want error) {
	t.Helper()
	before := tree(t, h.bpffs)
	_, err := Open(t.Context(), h.config())
	require.ErrorIs(t, err, want)
	require.Equal(t, before, tree(t, h.bpffs))
	_, err = InspectAt(h.bpffs, h.name)
	require.ErrorIs(t, err, want)
	require.Equal(t, before, tree(t, h.bpffs))
}

// tree lists files and their modes.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		all = append(all, info.Mode().String()+" "+path)
		return nil
	}))
	return all
}

// TestT15WrongPin: a table that is not what we make is refused, whoever put it there.
func TestT15WrongPin(t *testing.T) {
	pinned := func(spec *ebpf.MapSpec) func(t *testing.T, path string) {
		return func(t *testing.T, path string) {
			m, err := ebpf.NewMap(spec)
			require.NoError(t, err)
			defer m.Close()
			require.NoError(t, m.Pin(path))
		}
	}
	spec, err := bpf.LoadTable()
	require.NoError(t, err)
	vpcs := func(change func(*ebpf.MapSpec)) *ebpf.MapSpec {
		s := spec.Maps["vpcs"].Copy()
		change(s)
		return s
	}
	for name, put := range map[string]func(t *testing.T, path string){
		"type":       pinned(vpcs(func(s *ebpf.MapSpec) { s.Type = ebpf.LRUHash; s.Flags &^= 1 })),
		"key size":   pinned(vpcs(func(s *ebpf.MapSpec) { s.KeySize = 8; s.Key = nil })),
		"value size": pinned(vpcs(func(s *ebpf.MapSpec) { s.ValueSize = 8; s.Value = nil })),
		"flags":      pinned(vpcs(func(s *ebpf.MapSpec) { s.Flags = 0 })),
		"program": func(t *testing.T, path string) {
			p, err := ebpf.NewProgram(returnZero(ebpf.XDP))
			require.NoError(t, err)
			defer p.Close()
			require.NoError(t, p.Pin(path))
		},
		"missing": func(*testing.T, string) {},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			require.NoError(t, h.open(t).Close())
			path := filepath.Join(h.pins().tables(), "vpcs")
			require.NoError(t, os.Rename(path, h.aside()))
			put(t, path)
			h.requireRefused(t, ErrABI)
			if name != "missing" {
				require.NoError(t, os.Remove(path))
			}
			require.NoError(t, os.Rename(h.aside(), path))
			h.destroy(t)
		})
	}
}

// TestT15MissingPins: neither is an instance with less in it than we make.
func TestT15MissingPins(t *testing.T) {
	h := newHost(t)
	require.NoError(t, h.open(t).Close())
	p := h.pins()
	for _, path := range []string{p.tables(), p.programs(), p.links(), filepath.Join(p.tables(), "settings")} {
		t.Run(filepath.Base(path), func(t *testing.T) {
			require.NoError(t, os.Rename(path, h.aside()))
			h.requireRefused(t, ErrABI)
			require.NoError(t, os.Rename(h.aside(), path))
		})
	}
	h.destroy(t)
}

// aside is a place for a pin that is not looked at.
func (h *host) aside() string { return filepath.Join(h.pins().layout(), "aside") }

func returnZero(kind ebpf.ProgramType) *ebpf.ProgramSpec {
	return &ebpf.ProgramSpec{Type: kind, License: "GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}}
}

// TestT15WrongProgram: so is a program of another type, and a prog array that is none.
func TestT15WrongProgram(t *testing.T) {
	for _, name := range []string{"transit_xdp", "agent_tcx", "transit_tcx_array"} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			require.NoError(t, h.open(t).Close())
			path := filepath.Join(h.pins().programs(), name)
			require.NoError(t, os.Rename(path, h.aside()))
			p, err := ebpf.NewProgram(returnZero(ebpf.SocketFilter))
			require.NoError(t, err)
			defer p.Close()
			require.NoError(t, p.Pin(path))
			_, err = Open(t.Context(), h.config())
			require.ErrorIs(t, err, ErrABI)
			require.NoError(t, os.Remove(path))
			_, err = Open(t.Context(), h.config())
			require.ErrorIs(t, err, ErrABI)
			require.NoError(t, os.Rename(h.aside(), path))
			h.destroy(t)
		})
	}
}

// TestT15NotOurs: directories and files that others own, or may change, are refused.
func TestT15NotOurs(t *testing.T) {
	h := newHost(t)
	require.NoError(t, h.open(t).Close())
	p := h.pins()
	for _, path := range []string{
		filepath.Dir(p.dir), p.dir, p.layout(), p.tables(), p.programs(), p.links(),
		filepath.Join(p.tables(), "vpcs"), filepath.Join(p.programs(), "transit_xdp"),
	} {
		name, err := filepath.Rel(h.bpffs, path)
		require.NoError(t, err)
		t.Run("owner of "+name, func(t *testing.T) {
			require.NoError(t, os.Chown(path, 65534, 0))
			h.requireRefused(t, ErrNotOwned)
			require.NoError(t, os.Chown(path, 0, 0))
		})
		t.Run("mode of "+name, func(t *testing.T) {
			info, err := os.Stat(path)
			require.NoError(t, err)
			for _, more := range []fs.FileMode{0o020, 0o004, 0o001} {
				require.NoError(t, os.Chmod(path, info.Mode().Perm()|more))
				h.requireRefused(t, ErrNotOwned)
			}
			require.NoError(t, os.Chmod(path, info.Mode().Perm()))
		})
	}
	t.Run("symbolic link", func(t *testing.T) {
		aside := filepath.Join(filepath.Dir(p.dir), "aside")
		require.NoError(t, os.Rename(p.dir, aside))
		require.NoError(t, os.Symlink(aside, p.dir))
		h.requireRefused(t, ErrNotOwned)
		require.NoError(t, os.Remove(p.dir))
		require.NoError(t, os.Rename(aside, p.dir))
	})
	t.Run("link", func(t *testing.T) {
		path := filepath.Join(p.tables(), "vpcs")
		require.NoError(t, os.Rename(path, h.aside()))
		require.NoError(t, os.Symlink(h.aside(), path))
		h.requireRefused(t, ErrNotOwned)
		require.NoError(t, os.Remove(path))
		require.NoError(t, os.Rename(h.aside(), path))
	})
	h.destroy(t)
}

// TestT15PinsAreOursAlone: what Open makes is of the modes that it asks for.
func TestT15PinsAreOursAlone(t *testing.T) {
	h := newHost(t)
	require.NoError(t, h.open(t).Close())
	files := 0
	require.NoError(t, filepath.WalkDir(filepath.Join(h.bpffs, "mizar"), func(path string, d fs.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := d.Info()
		require.NoError(t, err)
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		require.Equal(t, want, info.Mode().Perm(), path)
		files++
		return nil
	}))
	require.Greater(t, files, 20)
	h.destroy(t)
}

// TestLeftoversAreSweptAway: what a builder left that died.
func TestLeftoversAreSweptAway(t *testing.T) {
	h := newHost(t)
	before := interfaces(t, h.ns)
	h.killed(t, building, h.ns)
	left := entries(t, h.pins().dir)
	require.Len(t, left, 1)
	require.Regexp(t, "^new-", left[0])
	dp, err := Open(t.Context(), h.config())
	require.NoError(t, err)
	require.False(t, dp.Report().Adopted)
	require.Equal(t, []string{"v2"}, entries(t, h.pins().dir))
	require.NoError(t, dp.Destroy(t.Context()))
	require.Empty(t, h.files(t))
	require.Equal(t, before, interfaces(t, h.ns))
}
