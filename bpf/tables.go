// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/cilium/ebpf"
)

// Layout is the version of the tables' layout. It is part of the pins' path and stands in the settings.
const Layout = 2

// Limits sizes the tables, in entries. Zero means the default, which is in lib/tables.h.
type Limits struct {
	Endpoints uint32 // addresses of endpoints, of all VPCs, local and remote
	Networks  uint32
	VPCs      uint32
	Sets      uint32 // different groups of bouncers or dividers; twice as many as live, while they change
	Peers     uint32
	Agents    uint32 // endpoints on this host
	Allowed   uint32 // prefixes that endpoints on this host may send from
	Directs   uint32 // learned hosts of endpoints; the least used is forgotten first
	Paths     uint32 // hosts whose path is known; the least used is forgotten first
	Traffic   uint32 // slots for traffic counts: endpoints and droplets of this host
}

// Tables are the maps that programs and user space share. Fields are nil only after Close.
type Tables struct {
	Settings       *ebpf.Map
	Droplets       *ebpf.Map
	Addresses      *ebpf.Map
	Agents         *ebpf.Map
	Endpoints      *ebpf.Map
	Networks       *ebpf.Map
	VPCs           *ebpf.Map
	Sets           *ebpf.Map
	Peers          *ebpf.Map
	Allowed        *ebpf.Map
	Directs        *ebpf.Map
	Paths          *ebpf.Map
	Chains         *ebpf.Map
	Reasons        *ebpf.Map
	StagesXDP      *ebpf.Map
	StagesTCX      *ebpf.Map
	FunctionPacket *ebpf.Map
	Epochs         *ebpf.Map
	Restore        *ebpf.Map
	Counters       *ebpf.Map
	Traffic        *ebpf.Map
	Events         *ebpf.Map
	EventLimits    *ebpf.Map
}

// slot names a table by its name in C, which is also its pin's.
type slot struct {
	name string
	m    **ebpf.Map
	size func(*Limits) *uint32 // nil: of a fixed size
}

func (t *Tables) slots() []slot {
	return []slot{
		{TableMapSettings, &t.Settings, nil},
		{TableMapDroplets, &t.Droplets, nil},
		{TableMapAddresses, &t.Addresses, nil},
		{TableMapAgents, &t.Agents, func(l *Limits) *uint32 { return &l.Agents }},
		{TableMapEndpoints, &t.Endpoints, func(l *Limits) *uint32 { return &l.Endpoints }},
		{TableMapNetworks, &t.Networks, func(l *Limits) *uint32 { return &l.Networks }},
		{TableMapVpcs, &t.VPCs, func(l *Limits) *uint32 { return &l.VPCs }},
		{TableMapSets, &t.Sets, func(l *Limits) *uint32 { return &l.Sets }},
		{TableMapPeers, &t.Peers, func(l *Limits) *uint32 { return &l.Peers }},
		{TableMapAllowed, &t.Allowed, func(l *Limits) *uint32 { return &l.Allowed }},
		{TableMapDirects, &t.Directs, func(l *Limits) *uint32 { return &l.Directs }},
		{TableMapPaths, &t.Paths, func(l *Limits) *uint32 { return &l.Paths }},
		{TableMapChains, &t.Chains, nil},
		{TableMapReasons, &t.Reasons, nil},
		{TableMapStagesXdp, &t.StagesXDP, nil},
		{TableMapStagesTcx, &t.StagesTCX, nil},
		{TableMapFunctionPacket, &t.FunctionPacket, nil},
		{TableMapEpochs, &t.Epochs, nil},
		{TableMapRestore, &t.Restore, nil},
		{TableMapCounters, &t.Counters, nil},
		{TableMapTraffic, &t.Traffic, func(l *Limits) *uint32 { return &l.Traffic }},
		{TableMapEvents, &t.Events, nil},
		{TableMapEventLimits, &t.EventLimits, nil},
	}
}

// tableSpecs are the tables as compiled in.
func tableSpecs() (map[string]*ebpf.MapSpec, error) {
	spec, err := LoadTable()
	if err != nil {
		return nil, fmt.Errorf("read tables' object: %w", err)
	}
	return spec.Maps, nil
}

// NewTables makes all tables, empty, of the sizes asked for. The settings are zero: [Programs] drop or
// pass everything until they are filled.
func NewTables(l Limits) (_ *Tables, err error) {
	specs, err := tableSpecs()
	if err != nil {
		return nil, err
	}
	t := new(Tables)
	defer func() {
		if err != nil {
			t.Close()
		}
	}()
	for _, s := range t.slots() {
		spec := specs[s.name].Copy()
		if s.size != nil && *s.size(&l) != 0 {
			spec.MaxEntries = *s.size(&l)
		}
		if *s.m, err = ebpf.NewMap(spec); err != nil {
			return nil, explain("create table "+s.name, err)
		}
	}
	return t, nil
}

// LoadPinnedTables opens the tables that [Tables.Pin] left in dir. One that is missing gives
// [fs.ErrNotExist], one of another kind or layout [ErrABI]. Their sizes are taken as they are.
func LoadPinnedTables(dir string) (_ *Tables, err error) {
	specs, err := tableSpecs()
	if err != nil {
		return nil, err
	}
	t := new(Tables)
	defer func() {
		if err != nil {
			t.Close()
		}
	}()
	for _, s := range t.slots() {
		path := filepath.Join(dir, s.name)
		if *s.m, err = ebpf.LoadPinnedMap(path, nil); err != nil {
			return nil, pinned("table "+path, err)
		}
		if err := fits(specs[s.name], *s.m, s.size != nil); err != nil {
			return nil, fmt.Errorf("open table %s: %w", path, err)
		}
	}
	return t, nil
}

// fits compares a pinned map with what would be made today. The name that the kernel keeps is cut, and
// anybody can choose it: the layout is what counts.
func fits(spec *ebpf.MapSpec, m *ebpf.Map, sized bool) error {
	switch {
	case m.Type() != spec.Type:
		return fmt.Errorf("%w: it is a %v, not a %v", ErrABI, m.Type(), spec.Type)
	case m.KeySize() != spec.KeySize || m.ValueSize() != spec.ValueSize:
		return fmt.Errorf("%w: key and value are %d and %d bytes, not %d and %d", ErrABI,
			m.KeySize(), m.ValueSize(), spec.KeySize, spec.ValueSize)
	case m.Flags() != spec.Flags:
		return fmt.Errorf("%w: its flags are %#x, not %#x", ErrABI, m.Flags(), spec.Flags)
	case !sized && m.MaxEntries() != spec.MaxEntries && spec.MaxEntries != 0:
		return fmt.Errorf("%w: it holds %d entries, not %d", ErrABI, m.MaxEntries(), spec.MaxEntries)
	}
	return nil
}

// Each calls f with every table and its name, and stops at the first error.
func (t *Tables) Each(f func(name string, m *ebpf.Map) error) error {
	for _, s := range t.slots() {
		if err := f(s.name, *s.m); err != nil {
			return err
		}
	}
	return nil
}

// Pin puts every table into dir, which must be on bpffs. On failure it takes back what it had pinned.
func (t *Tables) Pin(dir string) (err error) {
	var done []*ebpf.Map
	defer func() {
		if err != nil {
			for _, m := range done {
				err = errors.Join(err, m.Unpin())
			}
		}
	}()
	return t.Each(func(name string, m *ebpf.Map) error {
		if err := m.Pin(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("pin table %s: %w", name, err)
		}
		done = append(done, m)
		return nil
	})
}

// Limits are the sizes that the tables really have.
func (t *Tables) Limits() Limits {
	var l Limits
	for _, s := range t.slots() {
		if s.size != nil {
			*s.size(&l) = (*s.m).MaxEntries()
		}
	}
	return l
}

// Close lets go of the descriptors. Pinned or used by an attached program, the tables live on.
func (t *Tables) Close() error {
	var errs []error
	for _, s := range t.slots() {
		errs = append(errs, (*s.m).Close()) // of a nil map: nothing
	}
	return errors.Join(errs...)
}
