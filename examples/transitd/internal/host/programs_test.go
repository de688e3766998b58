// SPDX-License-Identifier: Apache-2.0

package host

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/internal/testutil"
)

// programs are those of the host's data-plane, as they are pinned, and the tables that they read.
type programs struct {
	*bpf.Programs
	w       *world
	tables  *bpf.Tables
	droplet int
}

func (w *world) programs(t testing.TB) *programs {
	t.Helper()
	dir := filepath.Join(w.options.Dataplane.BPFFS, "mizar", "a", fmt.Sprintf("v%d", bpf.Layout))
	p := &programs{w: w, droplet: testutil.Ifindex(t, w.ns, "eth0")}
	var err error
	p.tables, err = bpf.LoadPinnedTables(filepath.Join(dir, "tables"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.tables.Close()) })
	p.Programs, err = bpf.LoadPinnedPrograms(filepath.Join(dir, "programs"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Programs.Close()) })
	return p
}

// run gives a frame to a program as it comes in by an interface, and tells the one verdict that was counted. Namespaces
// have packets of their own, too: where one came in between, it is done again.
func (p *programs) run(t testing.TB, program *ebpf.Program, ifindex int, frame []byte) (bpf.Reason, []byte) {
	t.Helper()
	for range 100 {
		before := p.counters(t)
		var skb [192]byte // struct __sk_buff; ifindex is its eleventh word
		binary.NativeEndian.PutUint32(skb[10*4:], uint32(ifindex))
		run := &ebpf.RunOptions{Data: frame, DataOut: make([]byte, len(frame)+512), Context: &skb}
		testutil.In(t, p.w.ns, func() error {
			_, err := program.Run(run)
			return err
		})
		var counted []bpf.Reason
		for reason, n := range p.counters(t) {
			for range n - before[reason] {
				counted = append(counted, reason)
			}
		}
		if len(counted) == 1 {
			return counted[0], run.DataOut
		}
	}
	t.Fatal("never one verdict")
	return 0, nil
}

func (p *programs) counters(t testing.TB) map[bpf.Reason]uint64 {
	t.Helper()
	cpus := ebpf.MustPossibleCPU()
	keys := make([]bpf.Reason, bpf.TableReasonREASON_MAX)
	all := make([]bpf.TableCounter, len(keys)*cpus)
	_, err := p.tables.Counters.BatchLookup(new(ebpf.MapBatchCursor), keys, all, nil)
	if !errors.Is(err, ebpf.ErrKeyNotExist) { // that was all
		require.NoError(t, err)
	}
	got := make(map[bpf.Reason]uint64)
	for i, c := range all {
		got[keys[i/cpus]] += c.Packets
	}
	return got
}

// lookAgain has programs forget what they keep of the tables for a moment.
func (p *programs) lookAgain(t testing.TB) {
	t.Helper()
	require.NoError(t, p.tables.Epochs.Put(bpf.TableEpochEPOCH_TABLES, uint64(time.Now().UnixNano())))
}
