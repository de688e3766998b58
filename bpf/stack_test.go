// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/stretchr/testify/require"
)

// TestStack: programs fit the stack as kernel 6.1 counts it, each function's rounded up to 32 bytes. Newer kernels count
// less, so loading there says nothing.
func TestStack(t *testing.T) {
	const (
		stack    = 512
		tailCall = 256 // where a function that makes a tail call is called from
		frame    = 32
	)
	for object, load := range map[string]func() (*ebpf.CollectionSpec, error){"XDP": LoadXDP, "tcx": LoadTCX} {
		spec, err := load()
		require.NoError(t, err)
		for name, program := range spec.Programs {
			functions := functionsOf(program.Instructions)
			var deepest int
			var walk func(f *function, below int, path string)
			walk = func(f *function, below int, path string) {
				path += " " + f.name
				if f.tailCalls && below > 0 {
					require.Less(t, below, tailCall, "%s:%s makes a tail call", object, path)
				}
				here := below + (max(f.depth, 1)+frame-1)/frame*frame
				deepest = max(deepest, here)
				require.LessOrEqual(t, here, stack, "%s:%s", object, path)
				for _, to := range f.calls {
					require.NotNil(t, functions[to], "%s calls %s", path, to)
					walk(functions[to], here, path)
				}
			}
			walk(functions[name], 0, "")
			t.Logf("%s, %s: %d bytes", object, name, deepest)
		}
	}
}

// function is what its instructions say.
type function struct {
	name      string
	depth     int // of its own stack, in bytes
	calls     []string
	tailCalls bool
}

func functionsOf(all asm.Instructions) map[string]*function {
	out := make(map[string]*function)
	var f *function
	copies := make(map[asm.Register]bool) // of the frame pointer, that nothing was added to yet
	for _, ins := range all {
		if name := ins.Symbol(); name != "" {
			f = &function{name: name}
			out[name] = f
			clear(copies)
			copies[asm.RFP] = true
		}
		op := ins.OpCode
		switch class := op.Class(); {
		case ins.IsFunctionCall():
			f.calls = append(f.calls, ins.Reference())
		case ins.IsBuiltinCall():
			f.tailCalls = f.tailCalls || asm.BuiltinFunc(ins.Constant) == asm.FnTailCall
		case class.IsStore() && copies[ins.Dst], class.IsLoad() && copies[ins.Src]:
			f.depth = max(f.depth, -int(ins.Offset))
		case class.IsALU() && op.ALUOp() == asm.Mov:
			copies[ins.Dst] = op.Source() == asm.RegSource && copies[ins.Src]
		case class.IsALU() && op.ALUOp() == asm.Add && op.Source() == asm.ImmSource && copies[ins.Dst]:
			f.depth = max(f.depth, -int(ins.Constant))
			copies[ins.Dst] = false
		case class.IsALU():
			copies[ins.Dst] = false
		}
	}
	return out
}
