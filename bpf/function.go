// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
)

// FunctionABI is the version of function.h that functions have to be compiled with.
const FunctionABI = 1

// Names in an object that was written with function.h.
const (
	functionXDP    = "function_xdp"
	functionTCX    = "function_tcx"
	functionABI    = "mizar_function_abi"
	functionReason = "mizar_reason_"
)

// Function is a network function, loaded against the tables of one data-plane. The kernel keeps it for as long
// as it is in a chain; its maps, too.
type Function struct {
	Name string
	XDP  *ebpf.Program // nil: it works in tcx only
	TCX  *ebpf.Program
	Maps map[string]*ebpf.Map // those of its own, by their names in C; .rodata and the like are among them
}

// FunctionReasons are the names of the reasons that a function drops for, sorted, as MIZAR_DROP_REASON has them.
func FunctionReasons(spec *ebpf.CollectionSpec) (names []string) {
	for name := range spec.Variables {
		if reason, ok := strings.CutPrefix(name, functionReason); ok {
			names = append(names, reason)
		}
	}
	slices.Sort(names)
	return names
}

// LoadFunction loads a function from an object that was written with function.h, as compiled or after its
// variables were set. reasons has the number of each of its [FunctionReasons], of those from
// [TableReasonREASON_FUNCTION_FIRST] on. The spec stays the caller's, unchanged.
//
// An object of another [FunctionABI], or that is no function: [ErrABI]. What the verifier says is within reach of
// errors.As with *[ebpf.VerifierError].
func LoadFunction(t *Tables, name string, spec *ebpf.CollectionSpec, reasons map[string]Reason) (_ *Function, err error) {
	if err := checkFunction(spec); err != nil {
		return nil, fmt.Errorf("load function %s: %w", name, err)
	}
	spec = spec.Copy()
	for _, r := range FunctionReasons(spec) {
		if err := spec.Variables[functionReason+r].Set(uint32(reasons[r])); err != nil {
			return nil, fmt.Errorf("load function %s: set reason %s: %w", name, r, err)
		}
	}
	own := slices.Collect(maps.Keys(spec.Maps))
	opts := &ebpf.CollectionOptions{MapReplacements: make(map[string]*ebpf.Map)}
	for _, s := range []slot{
		{TableMapEndpoints, &t.Endpoints, nil},
		{TableMapAgents, &t.Agents, nil},
		{TableMapNetworks, &t.Networks, nil},
		{TableMapVpcs, &t.VPCs, nil},
		{TableMapFunctionPacket, &t.FunctionPacket, nil},
		{TableMapStagesXdp, &t.StagesXDP, nil},
		{TableMapStagesTcx, &t.StagesTCX, nil},
	} {
		opts.MapReplacements[s.name] = *s.m
		own = slices.DeleteFunc(own, func(n string) bool { return n == s.name })
	}
	prepare(spec, opts)
	for n, p := range spec.Programs {
		if n != functionXDP && n != functionTCX {
			delete(spec.Programs, n)
			continue
		}
		p.Name = name
	}
	c, err := ebpf.NewCollectionWithOptions(spec, *opts)
	if err != nil {
		return nil, explain("load function "+name, err)
	}
	defer c.Close()
	f := &Function{Name: name, TCX: c.DetachProgram(functionTCX), Maps: make(map[string]*ebpf.Map)}
	if spec.Programs[functionXDP] != nil {
		f.XDP = c.DetachProgram(functionXDP)
	}
	for _, n := range own {
		f.Maps[n] = c.DetachMap(n)
	}
	return f, nil
}

// checkFunction finds what function.h puts into every object.
func checkFunction(spec *ebpf.CollectionSpec) error {
	abi := spec.Variables[functionABI]
	if abi == nil {
		return fmt.Errorf("%w: it was not compiled with function.h", ErrABI)
	}
	var is uint32
	if err := abi.Get(&is); err != nil {
		return fmt.Errorf("read its ABI: %w", err)
	}
	if is != FunctionABI {
		return fmt.Errorf("%w: it was compiled with version %d of function.h, not %d", ErrABI, is, FunctionABI)
	}
	for _, want := range []struct {
		name string
		kind ebpf.ProgramType
	}{{functionTCX, ebpf.SchedCLS}, {functionXDP, ebpf.XDP}} {
		p := spec.Programs[want.name]
		switch {
		case p == nil && want.name == functionXDP: // tcx alone
		case p == nil:
			return fmt.Errorf("%w: it has no program %s", ErrABI, want.name)
		case p.Type != want.kind:
			return fmt.Errorf("%w: its program %s is a %v, not a %v", ErrABI, want.name, p.Type, want.kind)
		case want.name == functionXDP && p.Flags&unixXDPHasFrags == 0:
			return fmt.Errorf("%w: its program %s is not for packets of several buffers", ErrABI, want.name)
		}
	}
	return nil
}

// mapPrefix is of the pins of maps, so that none takes a program's name.
const mapPrefix = "map_"

// Pin puts the programs and maps into dir, which must be on bpffs and empty. Maps that the compiler made, with a dot
// in their name, are left out. On failure some may be there.
func (f *Function) Pin(dir string) error {
	if err := f.TCX.Pin(filepath.Join(dir, functionTCX)); err != nil {
		return fmt.Errorf("pin function %s: %w", f.Name, err)
	}
	if f.XDP != nil {
		if err := f.XDP.Pin(filepath.Join(dir, functionXDP)); err != nil {
			return fmt.Errorf("pin function %s: %w", f.Name, err)
		}
	}
	for name, m := range f.Maps {
		if strings.Contains(name, ".") {
			continue
		}
		if err := m.Pin(filepath.Join(dir, mapPrefix+name)); err != nil {
			return fmt.Errorf("pin map %s of function %s: %w", name, f.Name, err)
		}
	}
	return nil
}

// LoadPinnedFunction opens what [Function.Pin] left in dir. Without a function there: [fs.ErrNotExist].
func LoadPinnedFunction(name, dir string) (_ *Function, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("open function %s: %w", name, err)
	}
	f := &Function{Name: name, Maps: make(map[string]*ebpf.Map)}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch m, isMap := strings.CutPrefix(e.Name(), mapPrefix); {
		case isMap:
			if f.Maps[m], err = ebpf.LoadPinnedMap(path, nil); err != nil {
				return nil, pinned("map "+path, err)
			}
		case e.Name() == functionXDP:
			if f.XDP, err = ebpf.LoadPinnedProgram(path, nil); err != nil {
				return nil, pinned("program "+path, err)
			}
		case e.Name() == functionTCX:
			if f.TCX, err = ebpf.LoadPinnedProgram(path, nil); err != nil {
				return nil, pinned("program "+path, err)
			}
		}
	}
	switch {
	case f.TCX == nil:
		return nil, fmt.Errorf("open function %s: %w: it has no program for tcx", name, ErrABI)
	case f.TCX.Type() != ebpf.SchedCLS || f.XDP != nil && f.XDP.Type() != ebpf.XDP:
		return nil, fmt.Errorf("open function %s: %w: its programs are of other types", name, ErrABI)
	}
	return f, nil
}

// Close lets go of the descriptors. In a chain, or pinned, the function lives on.
func (f *Function) Close() error {
	errs := []error{f.XDP.Close(), f.TCX.Close()} // of a nil program: nothing
	for _, m := range f.Maps {
		errs = append(errs, m.Close())
	}
	return errors.Join(errs...)
}
