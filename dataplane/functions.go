// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"github.com/cilium/ebpf"

	"github.com/mizar-go/mizar/bpf"
)

// ErrInUse: a function is in a chain.
var ErrInUse = errors.New("in use")

// Function is a network function that is loaded: an eBPF program that stages can have, by its name.
type Function struct {
	Name string
	XDP  bool // it works in XDP too, not only in tcx
	// Maps are its own, by their names in C: to be read and written, while it runs too. They are closed with it.
	Maps    map[string]*ebpf.Map
	Reasons map[string]bpf.Reason // what it drops for, by the names that it has for them

	f *bpf.Function
}

// Assign fills the fields of a struct that are tagged `ebpf:"NAME"` with the maps of those names, as bpf2go makes
// one for an object. They stay the function's, and are closed with it.
func (f *Function) Assign(to any) error {
	if err := (&ebpf.Collection{Maps: maps.Clone(f.Maps)}).Assign(to); err != nil {
		return fmt.Errorf("assign maps of function %s: %w", f.Name, err)
	}
	return nil
}

// Close lets go of the descriptors. The function stays loaded, with what is in its maps.
func (f *Function) Close() error { return f.f.Close() }

// Functions are the network functions that are loaded. They stay so, with their maps, when nobody has the
// data-plane open, until they are removed or it is destroyed.
type Functions struct {
	dp *Dataplane
	mu sync.Mutex // over loading, removing and chains: no function goes that is about to be in one
}

// functionName is what bpffs can have as a directory.
var functionName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,63}$`)

// Load loads a function from an object that was written with function.h (github.com/mizar-go/mizar/bpf has it),
// under a name of letters, digits, - and _. What [ebpf.LoadCollectionSpec] or bpf2go give of the object will
// do; variables can be set before. Its reasons to drop are counted as NAME.REASON from then on. Close what it
// returns.
//
// A function of that name that is loaded already: [ErrExists]; an object that is no function, or one for another
// version of function.h: [ErrABI]. What the verifier says is within reach of errors.As with
// *[ebpf.VerifierError]. When it fails, all is as before.
func (f *Functions) Load(ctx context.Context, name string, spec *ebpf.CollectionSpec) (got *Function, err error) {
	err = f.dp.gate.through(ctx, func() error {
		f.mu.Lock()
		defer f.mu.Unlock()
		got, err = f.load(name, spec)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("load function %s: %w", name, explain(err))
	}
	return got, nil
}

func (f *Functions) load(name string, spec *ebpf.CollectionSpec) (_ *Function, err error) {
	if !functionName.MatchString(name) {
		return nil, fmt.Errorf("%w: that is no name", ErrInvalid)
	}
	if _, err := os.Stat(f.dp.pins.function(name)); !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(err, fmt.Errorf("function: %w", ErrExists))
	}
	var undo undo
	defer func() {
		if err != nil {
			err = errors.Join(err, undo.run())
		}
	}()
	reasons := bpf.FunctionReasons(spec)
	full := make([]string, len(reasons))
	for i, r := range reasons {
		full[i] = name + "." + r
	}
	numbers, err := f.dp.rows.Reasons.Take(full...)
	if err != nil {
		return nil, err
	}
	undo.add(func() error { return f.dp.rows.Reasons.Delete(full...) })
	of := make(map[string]bpf.Reason)
	for i, r := range reasons {
		of[r] = numbers[full[i]]
	}
	loaded, err := bpf.LoadFunction(f.dp.tables, name, spec, of)
	if err != nil {
		return nil, err
	}
	undo.add(loaded.Close)
	dir, err := f.dp.pins.begin()
	if err != nil {
		return nil, err
	}
	undo.add(func() error { return os.RemoveAll(dir) })
	if err := loaded.Pin(dir); err != nil {
		return nil, err
	}
	if err := os.Rename(dir, f.dp.pins.function(name)); err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	return handle(loaded, of), nil
}

func handle(f *bpf.Function, reasons map[string]bpf.Reason) *Function {
	return &Function{Name: f.Name, XDP: f.XDP != nil, Maps: f.Maps, Reasons: reasons, f: f}
}

// Get opens a function that is loaded. Its Maps are those that have a name in C. Close what it returns.
func (f *Functions) Get(ctx context.Context, name string) (got *Function, err error) {
	err = f.dp.gate.through(ctx, func() error {
		loaded, err := f.open(name)
		if err != nil {
			return err
		}
		reasons := make(map[string]bpf.Reason)
		for r, err := range f.dp.rows.Reasons.All() {
			if err != nil {
				return errors.Join(err, loaded.Close())
			}
			if own, ok := strings.CutPrefix(r.Name, name+"."); ok {
				reasons[own] = r.Reason
			}
		}
		got = handle(loaded, reasons)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("get function %s: %w", name, explain(err))
	}
	return got, nil
}

func (f *Functions) open(name string) (*bpf.Function, error) {
	if !functionName.MatchString(name) {
		return nil, fmt.Errorf("%w: that is no name", ErrInvalid)
	}
	loaded, err := bpf.LoadPinnedFunction(name, f.dp.pins.function(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("function %s: %w", name, ErrNotFound)
	}
	return loaded, err
}

// List iterates over the names of the functions that are loaded.
func (f *Functions) List(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		var names []string
		err := f.dp.gate.through(ctx, func() (err error) {
			names, err = f.dp.pins.functionNames()
			return err
		})
		if err != nil {
			yield("", fmt.Errorf("list functions: %w", explain(err)))
			return
		}
		for _, n := range names {
			if !yield(n, nil) {
				return
			}
		}
	}
}

// Remove unloads a function, and forgets its reasons with what they counted. One that is in a chain: [ErrInUse].
func (f *Functions) Remove(ctx context.Context, name string) error {
	err := f.dp.gate.through(ctx, func() error {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.remove(name)
	})
	if err != nil {
		return fmt.Errorf("remove function %s: %w", name, explain(err))
	}
	return nil
}

func (f *Functions) remove(name string) error {
	loaded, err := f.open(name)
	if err != nil {
		return err
	}
	defer loaded.Close()
	names, err := f.dp.pins.programNames()
	if err != nil {
		return err
	}
	for c, err := range f.dp.rows.Chains.All() {
		if err != nil {
			return err
		}
		for _, id := range c.Functions {
			if names[id] == name {
				return fmt.Errorf("%w: at stage %v", ErrInUse, c.Stage)
			}
		}
	}
	var reasons []string
	for r, err := range f.dp.rows.Reasons.All() {
		if err != nil {
			return err
		}
		if strings.HasPrefix(r.Name, name+".") {
			reasons = append(reasons, r.Name)
		}
	}
	// Out of sight by one rename; what is left then, the next Open sweeps.
	dir, err := f.dp.pins.begin()
	if err != nil {
		return err
	}
	if err := os.Rename(f.dp.pins.function(name), filepath.Join(dir, name)); err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	return errors.Join(f.dp.rows.Reasons.Delete(reasons...), os.RemoveAll(dir))
}

// programNames are those of the functions that are loaded, by the numbers of their programs for tcx.
func (p pins) programNames() (map[ebpf.ProgramID]string, error) {
	all, err := p.functionNames()
	if err != nil {
		return nil, err
	}
	names := make(map[ebpf.ProgramID]string)
	for _, n := range all {
		loaded, err := bpf.LoadPinnedFunction(n, p.function(n))
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		info, err := loaded.TCX.Info()
		if err := errors.Join(err, loaded.Close()); err != nil {
			return nil, fmt.Errorf("read function %s: %w", n, err)
		}
		id, _ := info.ID()
		names[id] = n
	}
	return names, nil
}
