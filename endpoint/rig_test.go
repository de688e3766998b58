// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/internal/netns"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

// rig is a host: its namespace, tables, and agents that drop everything.
type rig struct {
	*Manager
	t      testing.TB
	host   *netns.Handle
	pins   string // tables below it, and links
	raw    *bpf.Tables
	tables *maps.Tables
}

func newRig(t testing.TB, limits bpf.Limits) *rig {
	t.Helper()
	testutil.Root(t)
	testutil.Leaks(t)
	r := &rig{t: t, host: testutil.NewNS(t), pins: testutil.BPFFS(t)}
	var err error
	r.raw, err = bpf.NewTables(limits)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.raw.Close()) })
	require.NoError(t, os.Mkdir(filepath.Join(r.pins, "links"), 0o700))
	require.NoError(t, os.Mkdir(filepath.Join(r.pins, "tables"), 0o700))
	r.tables = r.open(r.raw)
	programs, err := droppers()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, programs.Close()) })
	r.Manager = r.manager(r.tables, programs)
	return r
}

func (r *rig) open(raw *bpf.Tables) *maps.Tables {
	r.t.Helper()
	tables, err := maps.Open(raw)
	require.NoError(r.t, err)
	r.t.Cleanup(func() { require.NoError(r.t, tables.Close()) })
	return tables
}

func (r *rig) manager(tables *maps.Tables, programs *bpf.Programs) *Manager {
	r.t.Helper()
	m, err := NewManager(tables, programs, Options{Links: filepath.Join(r.pins, "links"), NetNS: r.host})
	require.NoError(r.t, err)
	return m
}

// another is a second manager over the same state, as of a process that comes after.
func (r *rig) another() *Manager {
	r.t.Helper()
	return r.manager(r.tables, r.programs)
}

// droppers are agents that drop all they see.
func droppers() (_ *bpf.Programs, err error) {
	p := new(bpf.Programs)
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Close())
		}
	}()
	p.AgentTCX, err = ebpf.NewProgram(returns("agent_tcx", ebpf.SchedCLS, 0, 2))
	if err != nil {
		return nil, err
	}
	const frags = 1 << 5
	p.AgentXDP, err = ebpf.NewProgram(returns("agent_xdp", ebpf.XDP, frags, 1))
	return p, err
}

func returns(name string, kind ebpf.ProgramType, flags uint32, verdict int32) *ebpf.ProgramSpec {
	return &ebpf.ProgramSpec{
		Name: name, Type: kind, Flags: flags, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, verdict), asm.Return()},
	}
}

// dual is an endpoint with two addresses, in a workload's namespace.
func dual(ns *netns.Handle) Config {
	return Config{
		VNI:   7,
		Addrs: []netip.Prefix{netip.MustParsePrefix("192.0.2.10/24"), netip.MustParsePrefix("2001:db8:7::10/64")},
		NetNS: FD(ns.FD()),
	}
}

func key(vni uint32, addr string) maps.EndpointKey {
	return maps.EndpointKey{VNI: vni, Addr: netip.MustParseAddr(addr)}
}

// remote is an endpoint of another host.
func remote(vni uint32, addr string) maps.Endpoint {
	return maps.Endpoint{VNI: vni, Addr: netip.MustParseAddr(addr), Host: netip.MustParseAddr("198.51.100.9"), Cookie: 5}
}

func (r *rig) create(c Config) *Endpoint {
	r.t.Helper()
	e, err := r.Create(context.Background(), c)
	require.NoError(r.t, err)
	return e
}

func locals(t testing.TB, m *Manager) []*Endpoint {
	t.Helper()
	var all []*Endpoint
	for e, err := range m.Local(context.Background()) {
		require.NoError(t, err)
		all = append(all, e)
	}
	return all
}
