// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/dataplane"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/examples/transitd/internal/journal"
	"github.com/mizar-go/mizar/internal/testutil"
	"github.com/mizar-go/mizar/maps"
)

// testReboot: the kernel has nothing any more, and the journal everything.
func testReboot(t *testing.T, w *world) {
	one, _ := named(t, "one")
	s := full(t, one)
	s.Bridges = []*pb.Bridge{{Name: "br0"}}
	w.apply(t, s)
	was, etag := w.kernel(t), w.h.Etag()
	w.reboot(t)
	testutil.Delete(t, w.ns, "br0")
	h := w.open(t)
	require.Equal(t, was, w.kernel(t), "the MAC and the name of the interface, too")
	require.Equal(t, etag, h.Etag())
	require.NotEmpty(t, h.repairs)
	for _, r := range h.repairs {
		require.Empty(t, r.Error, "%v", r.Step)
	}
	w.requireState(t, s)
	w.requireWhole(t)
	w.open(t)
	require.Empty(t, w.h.repairs)
	require.Equal(t, was, w.kernel(t))
	w.apply(t, &pb.State{})
}

// testDrift: what others changed behind the daemon's back is mended, and told.
func testDrift(t *testing.T, w *world) {
	one, _ := named(t, "one")
	s := full(t, one)
	w.apply(t, s)
	was := w.kernel(t)
	ctx := t.Context()
	e, err := w.h.FindLocal(ctx, &pb.EndpointKey{Vni: 7, Address: "10.0.0.1"}, "")
	require.NoError(t, err)
	key := func(a string) maps.EndpointKey { return maps.EndpointKey{VNI: 7, Addr: netip.MustParseAddr(a)} }
	for what, c := range map[string]struct {
		harm    func(dp *dataplane.Dataplane) error
		repairs int
	}{
		"rows deleted": {func(dp *dataplane.Dataplane) error {
			return errors.Join(dp.Peer.Remove(ctx, netip.MustParsePrefix("192.0.2.0/24")), dp.VPC.Remove(ctx, 7), dp.Endpoint.Remove(ctx, key("10.0.0.9")),
				dp.Network.Remove(ctx, maps.NetworkKey{VNI: 7, Prefix: netip.MustParsePrefix("10.0.0.0/24")}))
		}, 4},
		"rows changed": {func(dp *dataplane.Dataplane) error {
			return errors.Join(dp.VPC.Add(ctx, maps.VPC{VNI: 7, Cookie: 99}), dp.Endpoint.Add(ctx, maps.Endpoint{VNI: 7, Addr: key("10.0.0.9").Addr, Host: netip.MustParseAddr("192.0.2.99")}))
		}, 2},
		"chains": {func(dp *dataplane.Dataplane) error {
			return errors.Join(dp.Stage.Clear(ctx, dataplane.StageDrop, dataplane.Scope{VNI: 7}), dp.Stage.Set(ctx, dataplane.StageDrop, dataplane.Scope{VNI: 7, Addr: key("10.0.0.2").Addr}, "log", "log"))
		}, 2},
		"droplet detached":      {func(dp *dataplane.Dataplane) error { return dp.Droplet.Detach(ctx, "eth0") }, 1},
		"endpoint deleted":      {func(dp *dataplane.Dataplane) error { return dp.Endpoint.Delete(ctx, e.Status.HostInterface) }, 2},
		"its interface deleted": {func(*dataplane.Dataplane) error { testutil.Delete(t, w.ns, e.Status.HostInterface); return nil }, 1},
		"a link detached":       {func(*dataplane.Dataplane) error { return unpin(w) }, 1},
		"lives elsewhere, they say": {func(dp *dataplane.Dataplane) error {
			return errors.Join(dp.Endpoint.Delete(ctx, e.Status.HostInterface), dp.Endpoint.Add(ctx, maps.Endpoint{VNI: 7, Addr: key("10.0.0.1").Addr, Host: netip.MustParseAddr("192.0.2.99")}))
		}, 2},
	} {
		t.Run(what, func(t *testing.T) {
			w.library(t, func(dp *dataplane.Dataplane) { require.NoError(t, c.harm(dp)) })
			h := w.open(t)
			require.Equal(t, was, w.kernel(t))
			w.requireWhole(t)
			var told []string
			for _, r := range h.repairs {
				require.Empty(t, r.Error, "%v", r.Step)
				told = append(told, fmt.Sprint(r.Step))
			}
			require.Len(t, told, c.repairs, "%q", told)
			w.open(t)
			require.Empty(t, w.h.repairs)
		})
	}
	// While it runs, whoever asks for the same again gets it mended, and the same it is.
	for what, again := range map[string]func() error{
		"apply": func() error { _, err := w.h.Apply(ctx, &pb.ApplyRequest{State: s}, "test"); return err },
		"put":   func() error { _, _, err := w.h.Put(ctx, s.LocalEndpoints[0], "test"); return err },
	} {
		testutil.Delete(t, w.ns, e.Status.HostInterface)
		require.NoError(t, again(), what)
		require.Equal(t, was, w.kernel(t), what)
		w.requireWhole(t)
	}
}

// unpin takes a program off by its pin, as somebody with rm would.
func unpin(w *world) error {
	all, err := filepath.Glob(filepath.Join(w.options.Dataplane.BPFFS, "mizar", "a", "*", "links", "*"))
	if err != nil || len(all) == 0 {
		return errors.Join(err, errors.New("no pins"))
	}
	return os.Remove(all[0])
}

// testLostNamespace: an endpoint whose namespace is gone is a problem, which a later Apply mends.
func testLostNamespace(t *testing.T, w *world) {
	one, ns := named(t, "one")
	s := full(t, one)
	w.apply(t, s)
	e, err := w.h.FindLocal(t.Context(), &pb.EndpointKey{Vni: 7, Address: "10.0.0.1"}, "")
	require.NoError(t, err)
	w.loseNamespace(t, one, ns, e)
	h := w.open(t)
	health, err := h.Health(t.Context())
	require.NoError(t, err)
	require.False(t, health.Healthy)
	require.NotEmpty(t, health.Problems)
	_, err = h.Apply(t.Context(), &pb.ApplyRequest{State: s}, "test")
	require.ErrorIs(t, err, dataplane.ErrNotFound)
	// What does not need it goes on.
	_, _, err = h.Put(t.Context(), &pb.Vpc{Vni: 9}, "test")
	require.NoError(t, err)
	two, _ := named(t, "two")
	moved := full(t, two)
	w.apply(t, moved)
	w.requireState(t, moved)
	w.requireWhole(t)
}

// testPending: what was begun when the daemon died, and how far it came nobody knows, is there as a whole then.
func testPending(t *testing.T, w *world) {
	one, _ := named(t, "one")
	two, _ := named(t, "two")
	old, next := full(t, one), full(t, two)
	next.LocalEndpoints[0].Addresses = []string{"10.0.0.2/24", "10.0.0.3/24"}
	next.Stages = next.Stages[:1]
	next.Vpcs = []*pb.Vpc{{Vni: 8}}
	next.Networks = nil
	next.Functions = append(next.Functions, &pb.Function{Name: "more", Object: object(t, "limiter")})
	next.Endpoints = []*pb.Endpoint{{Vni: 7, Address: "10.0.0.1", Host: "192.0.2.2"}}
	w.apply(t, next)
	want := w.kernel(t)
	w.apply(t, old)
	n := len(w.apply(t, old).Steps)
	require.Zero(t, n)
	// How many steps are taken before it dies: none, one, ..., all.
	dry, err := w.h.Apply(t.Context(), &pb.ApplyRequest{State: next, DryRun: true}, "test")
	require.NoError(t, err)
	for taken := range len(dry.Steps) + 1 {
		h := w.h
		g, err := h.goal(&pb.ApplyRequest{State: next})
		require.NoError(t, err)
		p, err := h.compare(t.Context(), g)
		require.NoError(t, err)
		require.NoError(t, h.journal.Begin(h.forward(p.change)))
		for i, s := range p.steps {
			if i >= taken {
				break
			}
			require.NoError(t, s.do(t.Context()))
		}
		w.open(t)
		w.requireState(t, next)
		w.requireWhole(t)
		require.Equal(t, textsWithoutNames(want), textsWithoutNames(w.kernel(t)), "%d steps", taken)
		for _, r := range w.h.repairs {
			require.Empty(t, r.Error, "%v", r.Step)
		}
		w.apply(t, old)
	}
}

// textsWithoutNames has no names and MACs that are made up.
func textsWithoutNames(all []string) (out []string) {
	for _, s := range all {
		out = append(out, made.ReplaceAllString(s, "?"))
	}
	return sorted(out)
}

// testFullDisk: what cannot be written down is not done; with room again all goes on.
func testFullDisk(t *testing.T, w *world) {
	w.close(t)
	dir := t.TempDir()
	require.NoError(t, unix.Mount("tmpfs", dir, "tmpfs", 0, "size=128k"))
	was := w.options.StateDir
	w.options.StateDir = dir
	t.Cleanup(func() {
		w.close(t)
		w.options.StateDir = was
		require.NoError(t, unix.Unmount(dir, 0))
	})
	h := w.open(t)
	_, _, err := h.Put(t.Context(), &pb.Vpc{Vni: 1}, "test")
	require.NoError(t, err)
	kernel, etag := w.kernel(t), h.Etag()
	food, err := os.Create(filepath.Join(dir, "food"))
	require.NoError(t, err)
	for err == nil {
		_, err = food.Write(make([]byte, 4096))
	}
	require.ErrorIs(t, err, unix.ENOSPC)
	require.NoError(t, food.Close())
	_, _, err = h.Put(t.Context(), &pb.Function{Name: "log", Object: object(t, "droplog")}, "test")
	require.ErrorIs(t, err, unix.ENOSPC)
	_, err = h.Apply(t.Context(), &pb.ApplyRequest{State: state(t, `{"functions":[{"name":"log","object":%q}]}`, file("droplog"))}, "test")
	require.ErrorIs(t, err, unix.ENOSPC)
	require.Equal(t, kernel, w.kernel(t))
	require.Equal(t, etag, h.Etag())
	require.NoError(t, os.Remove(food.Name()))
	_, _, err = h.Put(t.Context(), &pb.Function{Name: "log", Object: object(t, "droplog")}, "test")
	require.NoError(t, err)
	h = w.open(t)
	require.Empty(t, h.repairs)
	w.requireWhole(t)
	w.apply(t, &pb.State{})

	// A change that failed, and whose end could not be written, is not made by the next daemon.
	_, _, err = h.Put(t.Context(), &pb.Vpc{Vni: 1}, "test")
	require.NoError(t, err)
	etag = h.Etag()
	no := errors.New("no")
	c := newChange()
	c.put[name{pb.Kind_KIND_VPC, "2"}] = &pb.Vpc{Vni: 2}
	require.ErrorIs(t, h.commit(t.Context(), c, func(context.Context) error {
		require.NoError(t, h.journal.Close()) // as good as a disk that is full
		return no
	}), no)
	_, _, err = h.Put(t.Context(), &pb.Vpc{Vni: 3}, "test")
	require.NoError(t, err, "it writes the file anew")
	_, err = h.Remove(t.Context(), &pb.Vpc{Vni: 3}, "", false, "test")
	require.NoError(t, err)
	h = w.open(t)
	require.Equal(t, etag, h.Etag())
	require.Empty(t, h.repairs)
	w.requireState(t, &pb.State{Vpcs: []*pb.Vpc{{Vni: 1}}})
	w.apply(t, &pb.State{})
}

// testForeignFunctionLost: a chain with a function that nobody asked for, and that a boot took: a problem, no more.
func testForeignFunctionLost(t *testing.T, w *world) {
	w.close(t)
	s := state(t, `{"vpcs":[{"vni":7}],"stages":[{"scope":{"point":"STAGE_POINT_DROP","vni":7},"functions":["gone"]}]}`)
	w.pend(t, s)
	h := w.open(t)
	health, err := h.Health(t.Context())
	require.NoError(t, err)
	require.Len(t, health.Problems, 1)
	requireSame(t, s, w.state(t)) // it is asked for still
	chains, err := h.List(t.Context(), pb.Kind_KIND_STAGE)
	require.NoError(t, err)
	require.Empty(t, chains)
	w.apply(t, &pb.State{})
	require.True(t, proto.Equal(&pb.State{}, w.h.everything()))
}

// pend has something be asked for while the host is closed.
func (w *world) pend(t *testing.T, s *pb.State) {
	t.Helper()
	j, _, err := journal.Open(w.options.StateDir, func(journal.Change, bool) error { return nil })
	require.NoError(t, err)
	require.NoError(t, j.Begin(journal.Change{Put: s}))
	require.NoError(t, errors.Join(j.End(journal.Change{}), j.Close()))
}

// testHalfDeleted: the daemon died between two rows of an endpoint that it deleted, and by the other one it has another
// name.
func testHalfDeleted(t *testing.T, w *world) {
	one, _ := named(t, "one")
	w.apply(t, state(t, `{"localEndpoints":[{"vni":7,"addresses":["10.0.0.3/24","10.0.0.4/24"],"netns":%q,"hostInterface":"mzhalf"}]}`, one))
	h := w.h
	g, err := h.goal(&pb.ApplyRequest{State: state(t, `{"endpoints":[{"vni":7,"address":"10.0.0.3","host":"192.0.2.2"}]}`)})
	require.NoError(t, err)
	p, err := h.compare(t.Context(), g)
	require.NoError(t, err)
	require.NoError(t, h.journal.Begin(h.forward(p.change)))
	w.close(t)
	pinned, err := bpf.LoadPinnedTables(filepath.Join(w.options.Dataplane.BPFFS, "mizar", "a", fmt.Sprintf("v%d", bpf.Layout), "tables"))
	require.NoError(t, err)
	rows, err := maps.Open(pinned)
	require.NoError(t, err)
	require.NoError(t, rows.Endpoints.Delete(maps.EndpointKey{VNI: 7, Addr: netip.MustParseAddr("10.0.0.3")}))
	require.NoError(t, errors.Join(rows.Close(), pinned.Close()))
	w.open(t)
	w.requireState(t, state(t, `{"endpoints":[{"vni":7,"address":"10.0.0.3","host":"192.0.2.2"}]}`))
	w.requireWhole(t)
	require.False(t, testutil.Exists(t, w.ns, "mzhalf"))
}
