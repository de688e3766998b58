// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/cilium/ebpf"

	"github.com/mizar-go/mizar/dataplane"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// maxObject is more than an eBPF program for a packet can be.
const maxObject = 4 << 20

func functions(dp *dataplane.Dataplane) kind {
	return &spec[*pb.Function]{
		kind:  pb.Kind_KIND_FUNCTION,
		key:   (*pb.Function).GetName,
		check: checkFunction,
		get:   func(ctx context.Context, f *pb.Function) (*pb.Function, error) { return getFunction(ctx, dp, f.Name) },
		list: func(ctx context.Context) iter.Seq2[*pb.Function, error] {
			return func(yield func(*pb.Function, error) bool) {
				for name, err := range dp.Function.List(ctx) {
					var f *pb.Function
					if err == nil {
						f, err = getFunction(ctx, dp, name)
					}
					if errors.Is(err, dataplane.ErrNotFound) {
						continue // removed meanwhile
					}
					if !yield(f, err) {
						return
					}
				}
			}
		},
		put: func(ctx context.Context, want, there *pb.Function) (*pb.Function, error) {
			return putFunction(ctx, dp, want, there)
		},
		ready: func(ctx context.Context, want, there *pb.Function) error {
			if _, err := collection(want); err != nil || there == nil {
				return err
			}
			return inNoChain(ctx, dp, want.Name)
		},
		remove: func(ctx context.Context, f *pb.Function) error {
			return dp.Function.Remove(ctx, f.Name)
		},
		fits:   func(_ context.Context, _, _ *pb.Function) bool { return true }, // the kernel keeps no object
		hidden: true,
		unseen: true,
		of:     func(s *pb.State) *[]*pb.Function { return &s.Functions },
		phase:  func(*pb.Function) int { return phaseFunction },
	}
}

// inNoChain tells whether another object may take a function's place.
func inNoChain(ctx context.Context, dp *dataplane.Dataplane, name string) error {
	for c, err := range dp.Stage.List(ctx) {
		if err != nil {
			return err
		}
		if slices.Contains(c.Functions, name) {
			return fmt.Errorf("%w (stage %v)", ErrInUse, c.Stage)
		}
	}
	return nil
}

func checkFunction(f *pb.Function) error {
	var r reader
	r.function("name", f.Name)
	switch {
	case f.Name == trial:
		r.fail(wrong("name", "%q is the daemon's own", trial))
	case len(f.Object) == 0:
		r.fail(wrong("object", "it is not given"))
	case len(f.Object) > maxObject:
		r.fail(wrong("object", "%d bytes are more than %d", len(f.Object), maxObject))
	}
	return r.err
}

func getFunction(ctx context.Context, dp *dataplane.Dataplane, name string) (*pb.Function, error) {
	loaded, err := dp.Function.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	return fromFunction(loaded), loaded.Close()
}

func fromFunction(f *dataplane.Function) *pb.Function {
	st := &pb.FunctionStatus{Xdp: f.XDP, Reasons: slices.Sorted(maps.Keys(f.Reasons))}
	for name, m := range f.Maps {
		if strings.HasPrefix(name, ".") {
			continue // the compiler's, such as .rodata
		}
		st.Maps = append(st.Maps, &pb.FunctionMap{
			Name: name, Type: m.Type().String(), KeySize: m.KeySize(), ValueSize: m.ValueSize(), MaxEntries: m.MaxEntries(),
		})
	}
	slices.SortFunc(st.Maps, func(a, b *pb.FunctionMap) int { return strings.Compare(a.Name, b.Name) })
	return &pb.Function{Name: f.Name, Status: st}
}

// putFunction loads a function. Another of its name goes first, which the library refuses while it is in a chain.
func putFunction(ctx context.Context, dp *dataplane.Dataplane, want, there *pb.Function) (*pb.Function, error) {
	spec, err := collection(want)
	if err != nil {
		return nil, err
	}
	if there != nil {
		// What the verifier refuses must not cost the one that is there, its maps with it.
		if err := tryFunction(ctx, dp, spec.Copy()); err != nil {
			return nil, err
		}
		if err := dp.Function.Remove(ctx, there.Name); errors.Is(err, dataplane.ErrInUse) {
			return nil, fmt.Errorf("%w: %w", ErrInUse, err)
		} else if err != nil {
			return nil, err
		}
	}
	loaded, err := dp.Function.Load(ctx, want.Name, spec)
	if err != nil {
		if there != nil && len(there.Object) > 0 {
			_, back := putFunction(ctx, dp, there, nil)
			err = errors.Join(err, back)
		}
		return nil, err
	}
	got := withStatus(want, fromFunction(loaded))
	return got, loaded.Close()
}

// trial is the name that a function has while it is tried.
const trial = "transitd-trial"

func tryFunction(ctx context.Context, dp *dataplane.Dataplane, spec *ebpf.CollectionSpec) error {
	loaded, err := dp.Function.Load(ctx, trial, spec)
	if err != nil {
		return err
	}
	return errors.Join(loaded.Close(), dp.Function.Remove(ctx, trial))
}

// collection reads an object. What is wrong with it is the client's.
func collection(f *pb.Function) (*ebpf.CollectionSpec, error) {
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(f.Object))
	if err != nil {
		return nil, wrong("object", "%v", err)
	}
	for name, value := range f.Variables {
		v, ok := spec.Variables[name]
		if !ok {
			return nil, wrong("variables", "the object has no variable %q", name)
		}
		if uint64(len(value)) != uint64(v.Size()) {
			return nil, wrong("variables", "%s has %d bytes, not %d", name, v.Size(), len(value))
		}
		if err := v.Set(value); err != nil {
			return nil, wrong("variables", "%s: %v", name, err)
		}
	}
	return spec, nil
}
