// SPDX-License-Identifier: Apache-2.0

package droplet

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

// limits keep the tables of tests small.
var limits = bpf.Limits{
	Endpoints: 64, Networks: 64, VPCs: 64, Sets: 64, Peers: 64, Agents: 64, Allowed: 64, Directs: 1024, Paths: 1024, Traffic: 64,
}

// plane is a data-plane with everything pinned, and a Manager of its droplets.
type plane struct {
	*Manager
	dir string // the pins
	ns  *netns.Handle
	raw *bpf.Tables
}

// newPlane makes a data-plane in a namespace.
func newPlane(t *testing.T, ns *netns.Handle, name string) *plane {
	t.Helper()
	dir := testutil.BPFFS(t)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "links"), 0o700))
	raw, err := bpf.NewTables(limits)
	require.NoError(t, err)
	defer raw.Close()
	programs, err := bpf.LoadPrograms(raw)
	require.NoError(t, err)
	defer programs.Close()
	require.NoError(t, raw.Pin(dir))
	require.NoError(t, programs.Pin(dir))
	p, done, err := openPlane(dir, ns, name)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, done()) })
	require.NoError(t, p.tables.Settings.Put(maps.Settings{Port: maps.DefaultPort, OptionClass: maps.OptionClass}))
	return p
}

// openPlane opens a data-plane by its pins, as another process would.
func openPlane(dir string, ns *netns.Handle, name string) (_ *plane, done func() error, err error) {
	raw, err := bpf.LoadPinnedTables(dir)
	if err != nil {
		return nil, nil, err
	}
	programs, err := bpf.LoadPinnedPrograms(dir)
	if err != nil {
		raw.Close()
		return nil, nil, err
	}
	tables, err := maps.Open(raw)
	if err != nil {
		programs.Close()
		raw.Close()
		return nil, nil, err
	}
	m, err := NewManager(tables, programs, Options{Name: name, Links: filepath.Join(dir, "links"), NetNS: ns})
	done = func() error {
		for _, c := range []func() error{tables.Close, programs.Close, raw.Close} {
			if err := c(); err != nil {
				return err
			}
		}
		return nil
	}
	return &plane{m, dir, ns, raw}, done, err
}

// again is the same data-plane in what could be another process.
func (p *plane) again(t *testing.T) *plane {
	t.Helper()
	q, done, err := openPlane(p.dir, p.ns, p.name)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, done()) })
	return q
}

func (p *plane) list(t *testing.T) []*Droplet {
	t.Helper()
	var all []*Droplet
	for d, err := range p.List(t.Context()) {
		require.NoError(t, err)
		all = append(all, d)
	}
	return all
}

// newHost is a data-plane on a host whose interface up0 has addresses, and a switch at its other end.
func newHost(t *testing.T) (p *plane, far *netns.Handle) {
	t.Helper()
	testutil.Leaks(t)
	ns, far := testutil.NewNS(t), testutil.NewNS(t)
	testutil.Veth(t, ns, "up0", far, "sw0")
	testutil.Addr(t, ns, "up0", "192.0.2.1/24", "2001:db8:1::1/64")
	testutil.Addr(t, far, "sw0", "192.0.2.2/24", "2001:db8:1::2/64")
	testutil.Up(t, ns, "up0")
	testutil.Up(t, far, "sw0")
	testutil.Ready(t, ns, "up0")
	testutil.Ready(t, far, "sw0")
	return newPlane(t, ns, "blue"), far
}

// foreignXDP attaches a program of somebody else's, which passes everything.
func foreignXDP(t *testing.T, ns *netns.Handle, name string, flags link.XDPAttachFlags) {
	t.Helper()
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "somebodys", Type: ebpf.XDP, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2), asm.Return()},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, prog.Close()) })
	ifindex := testutil.Ifindex(t, ns, name)
	testutil.In(t, ns, func() error {
		l, err := link.AttachXDP(link.XDPOptions{Program: prog, Interface: ifindex, Flags: flags})
		if err == nil {
			t.Cleanup(func() { require.NoError(t, l.Close()) })
		}
		return err
	})
}

// attach attaches up0.
func (p *plane) attach(t *testing.T, mode Mode) *Droplet {
	t.Helper()
	d, err := p.Attach(t.Context(), Config{Interface: "up0", Mode: mode})
	require.NoError(t, err)
	return d
}

func (p *plane) detach(t *testing.T) {
	t.Helper()
	require.NoError(t, p.Detach(context.WithoutCancel(t.Context()), "up0"))
}
