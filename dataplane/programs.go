// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/cilium/ebpf"

	"github.com/mizar-go/mizar/bpf"
)

// ProgramStats is what the kernel has counted of a program since it was loaded, at all interfaces together.
type ProgramStats struct {
	Hook    bpf.Hook      // which program it is, and where it runs
	Runs    uint64        // packets that it was run for
	RunTime time.Duration // of all of them, with the functions and the other programs that it went on to
}

// Programs iterates over the programs that run first where a packet comes in, but those of which nothing was
// counted. The kernel counts while the sysctl kernel.bpf_stats_enabled is 1, or somebody has asked it to with
// [ebpf.EnableStats], and that costs each packet some time. An upgrade begins anew.
func (s *Stats) Programs(ctx context.Context) iter.Seq2[ProgramStats, error] {
	return each(ctx, s.gate, func() iter.Seq2[ProgramStats, error] {
		return func(yield func(ProgramStats, error) bool) {
			p := s.dp.programs
			for _, of := range []struct {
				hook    bpf.Hook
				program *ebpf.Program
			}{
				{bpf.TableHookHOOK_TRANSIT_XDP, p.TransitXDP},
				{bpf.TableHookHOOK_TRANSIT_TCX, p.TransitTCX},
				{bpf.TableHookHOOK_AGENT_XDP, p.AgentXDP},
				{bpf.TableHookHOOK_AGENT_TCX, p.AgentTCX},
			} {
				stats, err := of.program.Stats()
				if err != nil {
					yield(ProgramStats{}, fmt.Errorf("read statistics of program %v: %w", of.hook, explain(err)))
					return
				}
				if stats.RunCount != 0 && !yield(ProgramStats{of.hook, stats.RunCount, stats.Runtime}, nil) {
					return
				}
			}
		}
	})
}
