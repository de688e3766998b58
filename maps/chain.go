// SPDX-License-Identifier: Apache-2.0

package maps

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/cilium/ebpf"

	"github.com/mizar-go/mizar/bpf"
)

// ErrTooLong: a packet could run through more functions than the kernel lets programs tail-call.
var ErrTooLong = errors.New("chain is too long")

// ChainKey says whose functions.
type ChainKey struct {
	VNI     uint32 // of the VPC; zero, with Ifindex: the host's, that all packets run through
	Ifindex int    // of an endpoint's interface on this host; zero: the VPC's
}

// Chain is the functions of one stage, in the order in which a packet runs through them. Chains of the host, the
// VPC and the endpoint follow each other.
type Chain struct {
	Stage bpf.Stage
	ChainKey
	Functions []ebpf.ProgramID // their programs for tcx
}

// Chains are the network functions in the pipeline.
type Chains struct{ s *store }

// Set replaces a chain whole, by one write: each packet runs through the old one or the new one. No functions: the
// stage is left empty. The host's and a VPC's stay until they are set again, also while there is no such VPC;
// an endpoint's go with its agent, which has to be there: else it is [ErrNotFound].
//
// It waits until no packet is in the old chain: 15 ms. Only the stages that know of an endpoint here can have
// functions of one; others are [ErrInvalid]. More than fit in: [ErrFull], and more than a packet could run
// through: [ErrTooLong].
func (t *Chains) Set(stage bpf.Stage, key ChainKey, functions ...*bpf.Function) error {
	return naming(t.s.change(func() error {
		if err := t.check(stage, key, functions); err != nil {
			return err
		}
		return t.s.setChain(stage, key, functions)
	}), "set functions of", object(stage, key))
}

func object(stage bpf.Stage, key ChainKey) string {
	name := "stage " + stage.String()
	switch {
	case key.Ifindex != 0:
		return fmt.Sprintf("%s for interface %d", name, key.Ifindex)
	case key.VNI != 0:
		return fmt.Sprintf("%s for VPC %d", name, key.VNI)
	}
	return name
}

// Get returns the chain of a stage. There is always one; it may be empty.
func (t *Chains) Get(stage bpf.Stage, key ChainKey) (c Chain, err error) {
	err = t.s.look(func() error {
		if err := checkStage(stage, key); err != nil {
			return err
		}
		row, err := t.s.chains.get(key.toWire())
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		c = Chain{Stage: stage, ChainKey: key}
		c.Functions, err = t.s.functionsOf(row.Stage[stage])
		return err
	})
	return c, naming(err, "get functions of", object(stage, key))
}

// All iterates over the chains that are not empty.
func (t *Chains) All() iter.Seq2[Chain, error] {
	return func(yield func(Chain, error) bool) {
		rows := allRows(t.s, "chains", t.s.chains, func(k bpf.TableChainKey, row bpf.TableChains) (all []Chain, err error) {
			for stage := range bpf.TableStageSTAGES {
				if row.Stage[stage].Count == 0 {
					continue
				}
				c := Chain{Stage: stage, ChainKey: ChainKey{VNI: k.Vni, Ifindex: int(k.Ifindex)}}
				if c.Functions, err = t.s.functionsOf(row.Stage[stage]); err != nil {
					return nil, err
				}
				all = append(all, c)
			}
			return all, nil
		})
		for row, err := range rows {
			if err != nil {
				yield(Chain{}, err)
				return
			}
			for _, c := range row {
				if !yield(c, nil) {
					return
				}
			}
		}
	}
}

func (k ChainKey) toWire() bpf.TableChainKey {
	return bpf.TableChainKey{Vni: k.VNI, Ifindex: uint32(k.Ifindex)}
}

func checkStage(stage bpf.Stage, key ChainKey) error {
	switch {
	case stage == 0 || stage >= bpf.TableStageSTAGES:
		return invalid("there is no stage %d", stage)
	case key.Ifindex == 0 && key.VNI == 0:
		return nil
	case key.Ifindex == 0:
		return checkVNI(key.VNI)
	case stage == bpf.TableStageSTAGE_PARSE || stage == bpf.TableStageSTAGE_FORWARD:
		return invalid("at this stage no endpoint of this host is known")
	}
	return cmp.Or(checkVNI(key.VNI), checkIfindex(key.Ifindex))
}

func (t *Chains) check(stage bpf.Stage, key ChainKey, functions []*bpf.Function) error {
	if err := checkStage(stage, key); err != nil {
		return err
	}
	for _, f := range functions {
		if f == nil || f.TCX == nil {
			return invalid("a function is not loaded")
		}
	}
	if key.Ifindex != 0 {
		if a, err := t.s.agents.get(uint32(key.Ifindex)); err != nil {
			return err
		} else if a.Vni != key.VNI {
			return fmt.Errorf("the interface is of VPC %d: %w", a.Vni, ErrNotFound)
		}
	}
	return t.s.checkLength(stage, key, len(functions))
}

// tailCalls is the kernel's MAX_TAIL_CALL_CNT.
const tailCalls = 33

// checkLength counts the tail calls of the longest ways that a packet of a VPC can take through the pipeline: each
// function takes one, each chain another to come back, and an endpoint's packet to another here one to transit.
func (s *store) checkLength(stage bpf.Stage, key ChainKey, n int) error {
	rows := maps.Clone(s.stages.rows)
	row := rows[key.toWire()]
	row.Stage[stage].Count = uint16(min(n, stageSlots))
	rows[key.toWire()] = row
	for k := range rows {
		at := func(stage bpf.Stage) int { return longest(rows, k.Vni, stage) }
		drop, deliver := at(bpf.TableStageSTAGE_DROP), at(bpf.TableStageSTAGE_DELIVER)
		way := max(at(bpf.TableStageSTAGE_SEND)+1+deliver+drop,
			at(bpf.TableStageSTAGE_PARSE)+max(deliver, at(bpf.TableStageSTAGE_FORWARD))+drop)
		if way > tailCalls {
			return fmt.Errorf("%w: with it, a packet could take %d tail calls, and the kernel allows %d", ErrTooLong, way, tailCalls)
		}
	}
	return nil
}

// longest is how many tail calls a stage takes of a packet of a VPC at most.
func longest(rows map[bpf.TableChainKey]bpf.TableChains, vni uint32, stage bpf.Stage) int {
	cost := func(k bpf.TableChainKey) int {
		if n := int(rows[k].Stage[stage].Count); n != 0 {
			return n + 1
		}
		return 0
	}
	sum, most := cost(bpf.TableChainKey{}), 0
	if vni != 0 {
		sum += cost(bpf.TableChainKey{Vni: vni})
	}
	for k := range rows {
		if k.Vni == vni && k.Ifindex != 0 {
			most = max(most, cost(k))
		}
	}
	return sum + most
}

// dropChains forgets the functions of an endpoint. Their slots are free once programs have let go of them.
func (s *store) dropChains(ifindex uint32) error {
	for _, k := range slices.Collect(maps.Keys(s.stages.rows)) {
		if k.Ifindex != ifindex {
			continue
		}
		if err := s.chains.delete(k); err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("forget functions: %w", err)
		}
		for _, c := range s.stages.rows[k].Stage {
			s.stages.leave(c)
		}
		delete(s.stages.rows, k)
	}
	return s.markStages(s.stages.have())
}
