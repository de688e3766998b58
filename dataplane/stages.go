// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"

	"github.com/cilium/ebpf"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/maps"
)

// Stage is where in the pipeline functions run. At each, the packet is still as it came.
type Stage = bpf.Stage

const (
	StageSend    = bpf.TableStageSTAGE_SEND    // an endpoint here sent it; nothing is around it yet
	StageParse   = bpf.TableStageSTAGE_PARSE   // it came by a tunnel, and is valid
	StageDeliver = bpf.TableStageSTAGE_DELIVER // to an endpoint here, by a tunnel or from another endpoint here
	StageForward = bpf.TableStageSTAGE_FORWARD // by a tunnel, on to another host: this one is bouncer or divider
	StageDrop    = bpf.TableStageSTAGE_DROP    // it is dropped, whatever functions say
)

// ErrTooLong: a packet could run through more functions than the kernel lets programs tail-call, which is 33 with
// those that the pipeline takes.
var ErrTooLong = maps.ErrTooLong

// Scope says which packets of a stage run through a chain of functions.
type Scope struct {
	VNI uint32 // of a VPC; zero: all
	// Addr is of an endpoint of the VPC on this host: what it sends, is delivered or is dropped of that. Stages
	// parse and forward know of none. Chains are of the endpoint, whichever of its addresses is given. Zero: all
	// of the VPC.
	Addr netip.Addr
}

// Chain is functions of one stage, in the order in which packets run through them.
type Chain struct {
	Stage     Stage
	VNI       uint32   // of the VPC, or of the endpoint; 0: the host's
	Ifindex   int      // of the endpoint's interface on the host's side; 0: all of VNI
	Functions []string // names; "program N" where another program than a loaded function is there
}

// Stages are the chains of functions in the pipeline. A packet runs through that of the host first, then that of its
// VPC, then that of its endpoint, and reads once which they are: one that is replaced has all of a packet or
// nothing of it, and no packet is lost. They stay when nobody has the data-plane open.
type Stages struct{ dp *Dataplane }

// Set replaces a chain whole by functions that are loaded, under traffic. It returns when no packet is in the old
// one: after some 15 ms.
//
// A function that is not loaded, or an endpoint that is not on this host: [ErrNotFound]. One that does not work in
// XDP where an interface of this data-plane runs it: [ErrNotSupported]; one that gets to run it later drops what
// would run through, and counts DROP_NO_FUNCTION. Too many functions: [ErrTooLong]. When it fails, the old
// chain goes on.
func (s *Stages) Set(ctx context.Context, stage Stage, scope Scope, functions ...string) error {
	err := s.dp.gate.through(ctx, func() error {
		s.dp.Function.mu.Lock()
		defer s.dp.Function.mu.Unlock()
		return s.set(stage, scope, functions)
	})
	if err != nil {
		return fmt.Errorf("set stage %v of %v: %w", stage, scope, explain(err))
	}
	return nil
}

func (s *Stages) set(stage Stage, scope Scope, functions []string) (err error) {
	key, err := s.key(scope)
	if err != nil {
		return err
	}
	var loaded []*bpf.Function
	defer func() {
		for _, f := range loaded {
			err = errors.Join(err, f.Close())
		}
	}()
	for _, name := range functions {
		f, err := s.dp.Function.open(name)
		if err != nil {
			return err
		}
		loaded = append(loaded, f)
		if f.XDP == nil {
			if err := s.noXDP(); err != nil {
				return fmt.Errorf("function %s: %w", name, err)
			}
		}
	}
	return s.dp.rows.Chains.Set(stage, key, loaded...)
}

// noXDP refuses where XDP runs.
func (s *Stages) noXDP() error {
	for d, err := range s.dp.rows.Droplets.All() {
		if err != nil {
			return err
		}
		if d.XDP {
			return fmt.Errorf("%w: it works in tcx only, and droplet %d runs XDP", ErrNotSupported, d.Ifindex)
		}
	}
	for a, err := range s.dp.rows.Agents.All() {
		if err != nil {
			return err
		}
		if a.XDP {
			return fmt.Errorf("%w: it works in tcx only, and endpoint %d runs XDP", ErrNotSupported, a.Ifindex)
		}
	}
	return nil
}

func (s *Stages) key(scope Scope) (maps.ChainKey, error) {
	key := maps.ChainKey{VNI: scope.VNI}
	if !scope.Addr.IsValid() {
		return key, nil
	}
	e, err := s.dp.rows.Endpoints.Get(maps.EndpointKey{VNI: scope.VNI, Addr: scope.Addr})
	if err != nil {
		return key, err
	}
	if e.Ifindex == 0 {
		return key, fmt.Errorf("endpoint %v of VPC %d lives on host %v: %w here", scope.Addr, scope.VNI, e.Host, ErrNotFound)
	}
	key.Ifindex = e.Ifindex
	return key, nil
}

// Clear leaves a stage without functions: Set without any.
func (s *Stages) Clear(ctx context.Context, stage Stage, scope Scope) error {
	return s.Set(ctx, stage, scope)
}

// Get is the chain of a stage. There is always one, which may be empty.
func (s *Stages) Get(ctx context.Context, stage Stage, scope Scope) (c Chain, err error) {
	err = s.dp.gate.through(ctx, func() error {
		key, err := s.key(scope)
		if err != nil {
			return err
		}
		row, err := s.dp.rows.Chains.Get(stage, key)
		if err != nil {
			return err
		}
		names, err := s.dp.pins.programNames()
		c = chain(row, names)
		return err
	})
	if err != nil {
		return Chain{}, fmt.Errorf("get stage %v of %v: %w", stage, scope, explain(err))
	}
	return c, nil
}

// List iterates over the chains that are not empty.
func (s *Stages) List(ctx context.Context) iter.Seq2[Chain, error] {
	return each(ctx, &s.dp.gate, func() iter.Seq2[Chain, error] { return chains(s.dp.pins, s.dp.rows) })
}

func chains(p pins, rows *maps.Tables) iter.Seq2[Chain, error] {
	return func(yield func(Chain, error) bool) {
		names, err := p.programNames()
		if err != nil {
			yield(Chain{}, fmt.Errorf("list stages: %w", explain(err)))
			return
		}
		convert(rows.Chains.All(), func(c maps.Chain) (Chain, error) { return chain(c, names), nil })(yield)
	}
}

func chain(row maps.Chain, names map[ebpf.ProgramID]string) Chain {
	c := Chain{Stage: row.Stage, VNI: row.VNI, Ifindex: row.Ifindex}
	for _, id := range row.Functions {
		name, ok := names[id]
		if !ok {
			name = fmt.Sprintf("program %d", id)
		}
		c.Functions = append(c.Functions, name)
	}
	return c
}

// String names a scope for people.
func (s Scope) String() string {
	switch {
	case s.Addr.IsValid():
		return fmt.Sprintf("endpoint %v of VPC %d", s.Addr, s.VNI)
	case s.VNI != 0:
		return fmt.Sprintf("VPC %d", s.VNI)
	}
	return "the host"
}
