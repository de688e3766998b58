// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/dataplane"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

func readJournal(dir string) ([]byte, error) { return os.ReadFile(filepath.Join(dir, "state")) }
func removeAll(dir string) error             { return os.RemoveAll(dir) }

func remotes(from, to int) (all []*pb.Endpoint) {
	for i := from; i < to; i++ {
		all = append(all, &pb.Endpoint{Vni: 7, Address: fmt.Sprintf("10.0.1.%d", i), Host: "192.0.2.2"})
	}
	return all
}

// testManyEndpoints: of a message with endpoints of other hosts all are written, or none.
func testManyEndpoints(t *testing.T, w *world) {
	h := w.h
	one, _ := named(t, "one")
	w.apply(t, full(t, one))
	ctx := t.Context()
	wrote, err := h.AddEndpoints(ctx, remotes(0, 20), false, "test")
	require.NoError(t, err)
	require.Equal(t, Written{Added: 20}, wrote)
	wrote, err = h.AddEndpoints(ctx, remotes(10, 30), false, "test")
	require.NoError(t, err)
	require.Equal(t, Written{Added: 10, Unchanged: 10}, wrote)
	was, etag := w.kernel(t), h.Etag()

	moved := func(host string) []*pb.Endpoint { // new ones, and some that live elsewhere now
		all := append(remotes(30, 34), remotes(0, 5)...)
		for _, e := range all {
			e.Host = host
		}
		return all
	}
	with := func(all []*pb.Endpoint, e ...*pb.Endpoint) []*pb.Endpoint {
		return append(append(append([]*pb.Endpoint(nil), all[:3]...), e...), all[3:]...)
	}
	first, err := h.Endpoint(ctx, &pb.EndpointKey{Vni: 7, Address: "10.0.1.0"})
	require.NoError(t, err)
	require.NotEmpty(t, first.Etag)
	for what, c := range map[string]struct {
		all       []*pb.Endpoint
		overwrite bool
		err       error
	}{
		"differs":    {moved("192.0.2.3"), false, ErrDiffers},
		"stale":      {with(remotes(30, 34), &pb.Endpoint{Vni: 7, Address: "10.0.1.0", Host: "192.0.2.9", Etag: "stale"}), true, ErrEtag},
		"full":       {append(moved("192.0.2.3"), remotes(100, 150)...), true, dataplane.ErrFull},
		"nonsense":   {with(moved("192.0.2.3"), &pb.Endpoint{Vni: 7, Address: "10.0.1", Host: "192.0.2.2"}), true, dataplane.ErrInvalid},
		"nothing":    {with(moved("192.0.2.3"), nil), true, dataplane.ErrInvalid},
		"no host":    {with(moved("192.0.2.3"), &pb.Endpoint{Vni: 7, Address: "10.0.1.99"}), true, dataplane.ErrInvalid},
		"twice":      {with(moved("192.0.2.3"), remotes(30, 31)...), true, dataplane.ErrInvalid},
		"lives here": {with(moved("192.0.2.3"), &pb.Endpoint{Vni: 7, Address: "10.0.0.1", Host: "192.0.2.2"}), true, dataplane.ErrExists},
		"a VNI":      {with(moved("192.0.2.3"), &pb.Endpoint{Vni: 1 << 24, Address: "10.0.1.99", Host: "192.0.2.2"}), true, dataplane.ErrInvalid},
	} {
		_, err := h.AddEndpoints(ctx, c.all, c.overwrite, "test")
		require.ErrorIs(t, err, c.err, what)
		require.Equal(t, was, w.kernel(t), what)
		require.Equal(t, etag, h.Etag(), what)
	}
	wrote, err = h.AddEndpoints(ctx, []*pb.Endpoint{{Vni: 7, Address: "10.0.1.0", Host: "192.0.2.9", Etag: first.Etag}}, false, "test")
	require.NoError(t, err)
	require.Equal(t, Written{Replaced: 1}, wrote)
	wrote, err = h.AddEndpoints(ctx, moved("192.0.2.3"), true, "test")
	require.NoError(t, err)
	require.Equal(t, Written{Added: 4, Replaced: 5}, wrote)

	key := func(a string) *pb.EndpointKey { return &pb.EndpointKey{Vni: 7, Address: a} }
	removed, missing, err := h.RemoveEndpoints(ctx, []*pb.EndpointKey{key("10.0.1.0"), key("10.0.1.0"), key("10.9.9.9"), key("10.0.1.33")}, "test")
	require.NoError(t, err)
	require.Equal(t, [2]int{2, 2}, [2]int{removed, missing})
	was = w.kernel(t)
	_, _, err = h.RemoveEndpoints(ctx, []*pb.EndpointKey{key("10.0.1.1"), nil}, "test")
	require.ErrorIs(t, err, dataplane.ErrInvalid)
	removed, missing, err = h.RemoveEndpoints(ctx, []*pb.EndpointKey{key("10.0.0.1")}, "test")
	require.NoError(t, err)
	require.Equal(t, [2]int{0, 1}, [2]int{removed, missing}, "one of this host is no endpoint of another")
	require.Equal(t, was, w.kernel(t))
	w.requireWhole(t)
	etag = h.Etag()
	w.open(t)
	require.Equal(t, etag, w.h.Etag())
	require.Empty(t, w.h.repairs)
	require.Equal(t, was, w.kernel(t))
}

// TestManyRows: that packets are waited for takes its time once, and not for each row.
func TestManyRows(t *testing.T) {
	w := newWorld(t)
	const n = 2000
	l := &w.options.Dataplane.Limits
	l.Peers, l.Networks, l.VPCs, l.Sets = 2*n, 2*n, 2*n, 2*n
	w.open(t)
	rows := func(first int) *pb.State {
		s := &pb.State{}
		for i := range n {
			prefix := fmt.Sprintf("10.%d.%d.0/24", first+i/256, i%256)
			s.Peers = append(s.Peers, &pb.Peer{Prefix: prefix})
			s.Networks = append(s.Networks, &pb.Network{Vni: 7, Prefix: prefix, Blackhole: true})
			s.Vpcs = append(s.Vpcs, &pb.Vpc{Vni: uint32(first*n + i + 1), NoDirectPath: true})
		}
		return s
	}
	a, b := rows(0), rows(100)
	began := time.Now()
	for _, s := range []*pb.State{a, b, {}} {
		w.apply(t, s)
		w.requireState(t, s)
	}
	took := time.Since(began)
	t.Logf("%d rows added, replaced and removed in %v", 3*n, took)
	require.Less(t, took, 30*time.Second, "one by one it takes minutes")
}
