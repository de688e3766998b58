// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/mizar-go/mizar/dataplane"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// testEachKind: adding, reading, replacing and removing, and what etags allow, is the same for all kinds.
func testEachKind(t *testing.T, w *world) {
	h := w.h
	ns, _ := named(t, "one")
	base := full(t, ns)
	base.Functions, base.Stages, base.LocalEndpoints, base.Droplets = nil, nil, nil, nil
	w.apply(t, base)
	log, mirror := object(t, "droplog"), object(t, "limiter")
	_, _, err := h.Put(t.Context(), &pb.Function{Name: "a", Object: log}, "test")
	require.NoError(t, err)
	_, _, err = h.Put(t.Context(), &pb.Function{Name: "b", Object: log}, "test")
	require.NoError(t, err)
	scope := &pb.StageScope{Point: pb.StagePoint_STAGE_POINT_DROP, Vni: 9}
	for _, c := range []struct{ one, other proto.Message }{
		{&pb.Peer{Prefix: "198.51.100.0/24"}, &pb.Peer{Prefix: "198.51.100.0/24", Cookie: 1}},
		{&pb.Vpc{Vni: 8}, &pb.Vpc{Vni: 8, Dividers: []string{"192.0.2.3", "192.0.2.2"}}},
		{&pb.Network{Vni: 8, Prefix: "2001:db8::/64", Blackhole: true}, &pb.Network{Vni: 8, Prefix: "2001:db8::/64", Via: "2001:db8:1::1"}},
		{&pb.Droplet{Interface: "eth0"}, &pb.Droplet{Interface: "eth0", Cookie: 4}},
		{
			&pb.LocalEndpoint{Vni: 7, Addresses: []string{"10.0.0.1/24"}, Place: &pb.LocalEndpoint_Netns{Netns: ns}},
			&pb.LocalEndpoint{Vni: 7, Addresses: []string{"10.0.0.1/16", "10.0.0.5/16"}, Place: &pb.LocalEndpoint_Netns{Netns: ns}, Interface: "net1"},
		},
		{&pb.Function{Name: "f", Object: log}, &pb.Function{Name: "f", Object: mirror}},
		{&pb.Stage{Scope: scope, Functions: []string{"a"}}, &pb.Stage{Scope: scope, Functions: []string{"b", "a"}}},
		{&pb.Bridge{Name: "br0"}, &pb.Bridge{Name: "br0", Mtu: 1400, Ports: []string{"p1"}}},
		{&pb.Route{Destination: "203.0.113.0/24", Interface: "eth0"}, &pb.Route{Destination: "203.0.113.0/24", Via: "192.0.2.2", Mtu: 1300}},
	} {
		k := h.kindOf(c.one)
		t.Run(KindName(k.id()), func(t *testing.T) { eachKind(t, w, c.one, c.other) })
	}
	w.requireWhole(t)
}

func with(m proto.Message, etag string) proto.Message {
	m = proto.CloneOf(m)
	setEtag(m, etag)
	return m
}

func eachKind(t *testing.T, w *world, one, other proto.Message) {
	h, ctx := w.h, t.Context()
	before := w.kernel(t)
	refused := func(err, what error, etag string) {
		t.Helper()
		require.ErrorIs(t, err, what)
		var of *Error
		require.ErrorAs(t, err, &of)
		require.Equal(t, etag, of.Etag)
		require.Equal(t, h.kindOf(one).id(), of.Kind)
	}
	put := func(m proto.Message, etag string, want pb.Outcome) string {
		t.Helper()
		got, outcome, err := h.Put(ctx, with(m, etag), "test")
		require.NoError(t, err)
		require.Equal(t, want, outcome)
		again, err := h.Get(ctx, m)
		require.NoError(t, err)
		require.Empty(t, cmpProto(bare(got), bare(again)))
		require.Equal(t, etagOf(got), etagOf(again))
		all, err := h.List(ctx, h.kindOf(m).id())
		require.NoError(t, err)
		found := 0
		for _, l := range all {
			if h.kindOf(m).keyOf(l) == h.kindOf(m).keyOf(got) {
				require.Empty(t, cmpProto(bare(got), bare(l)))
				found++
			}
		}
		require.Equal(t, 1, found)
		return etagOf(got)
	}
	_, err := h.Get(ctx, one)
	require.ErrorIs(t, err, dataplane.ErrNotFound)
	_, err = h.Remove(ctx, one, "", false, "test")
	require.ErrorIs(t, err, dataplane.ErrNotFound)
	outcome, err := h.Remove(ctx, one, "", true, "test")
	require.NoError(t, err)
	require.Equal(t, pb.Outcome_OUTCOME_UNCHANGED, outcome)
	_, _, err = h.Put(ctx, with(one, "1234"), "test")
	refused(err, ErrEtag, "")

	etag := put(one, "", pb.Outcome_OUTCOME_ADDED)
	there := w.kernel(t)
	require.Equal(t, etag, put(one, "", pb.Outcome_OUTCOME_UNCHANGED))
	require.Equal(t, etag, put(one, "*", pb.Outcome_OUTCOME_UNCHANGED))
	require.Equal(t, etag, put(one, etag, pb.Outcome_OUTCOME_UNCHANGED))
	require.Equal(t, etag, put(one, "stale", pb.Outcome_OUTCOME_UNCHANGED), "the same may be said again, whoever asks")
	_, _, err = h.Put(ctx, other, "test")
	refused(err, ErrDiffers, etag)
	_, _, err = h.Put(ctx, with(other, "stale"), "test")
	refused(err, ErrEtag, etag)
	require.Equal(t, there, w.kernel(t), "nothing changes")

	next := put(other, etag, pb.Outcome_OUTCOME_REPLACED)
	require.NotEqual(t, etag, next)
	_, _, err = h.Put(ctx, with(one, etag), "test")
	refused(err, ErrEtag, next)
	require.Equal(t, etag, put(one, "*", pb.Outcome_OUTCOME_REPLACED), "an etag is of what is said")
	put(other, "*", pb.Outcome_OUTCOME_REPLACED)

	_, err = h.Remove(ctx, one, etag, true, "test")
	refused(err, ErrEtag, next)
	outcome, err = h.Remove(ctx, one, next, false, "test")
	require.NoError(t, err)
	require.Equal(t, pb.Outcome_OUTCOME_REMOVED, outcome)
	require.Equal(t, before, w.kernel(t))

	// Two who add at once: one has it, the other is told that it differs.
	errs := make(chan error)
	for _, m := range []proto.Message{one, other} {
		go func() {
			_, _, err := h.Put(ctx, m, "test")
			errs <- err
		}()
	}
	a, b := <-errs, <-errs
	require.True(t, (a == nil) != (b == nil), "%v, %v", a, b)
	if a == nil {
		a = b
	}
	require.ErrorIs(t, a, ErrDiffers)
	got, err := h.Get(ctx, one)
	require.NoError(t, err)
	// And two who replace the same.
	etag = put(one, "*", map[bool]pb.Outcome{true: pb.Outcome_OUTCOME_UNCHANGED, false: pb.Outcome_OUTCOME_REPLACED}[etagOf(got) == etag])
	for range 2 {
		go func() {
			_, err := h.Remove(ctx, one, etag, false, "test")
			errs <- err
		}()
	}
	a, b = <-errs, <-errs
	require.True(t, (a == nil) != (b == nil), "%v, %v", a, b)
	if a == nil {
		a = b
	}
	require.ErrorIs(t, a, dataplane.ErrNotFound)
	require.Equal(t, before, w.kernel(t))
	require.Nil(t, h.askedFor(h.kindOf(one).id(), h.kindOf(one).keyOf(one)))
}

func cmpProto(a, b proto.Message) string {
	if proto.Equal(a, b) {
		return ""
	}
	return fmt.Sprintf("%v\n%v", a, b)
}

// testAddress is apart: there is nothing in one that could differ.
func testAddress(t *testing.T, w *world) {
	h := w.h
	a := &pb.Address{Interface: "eth0", Address: "198.51.100.1/32"}
	for _, want := range []pb.Outcome{pb.Outcome_OUTCOME_ADDED, pb.Outcome_OUTCOME_UNCHANGED} {
		_, outcome, err := h.Put(t.Context(), a, "test")
		require.NoError(t, err)
		require.Equal(t, want, outcome)
	}
	_, err := h.Remove(t.Context(), a, "stale", false, "test")
	require.ErrorIs(t, err, ErrEtag)
	_, err = h.Remove(t.Context(), a, "", false, "test")
	require.NoError(t, err)
}

// testChainsGoWithTheirEndpoint: one that is made anew has them again, one that is deleted takes them along, also what
// was asked for.
func testChainsGoWithTheirEndpoint(t *testing.T, w *world) {
	h := w.h
	ns, _ := named(t, "one")
	w.apply(t, full(t, ns))
	before := w.kernel(t)
	e, err := h.FindLocal(t.Context(), &pb.EndpointKey{Vni: 7, Address: "10.0.0.2"}, "")
	require.NoError(t, err)
	changed := proto.CloneOf(e)
	changed.Mac, changed.HostInterface = "02:00:00:00:00:77", "mzanew"
	_, outcome, err := h.Put(t.Context(), changed, "test")
	require.NoError(t, err)
	require.Equal(t, pb.Outcome_OUTCOME_REPLACED, outcome)
	w.requireWhole(t)
	require.Len(t, w.kernel(t), len(before))

	// Its second address names the same chain, and so does the first.
	second := &pb.StageScope{Point: pb.StagePoint_STAGE_POINT_DROP, Vni: 7, Address: "10.0.0.2"}
	got, err := h.Get(t.Context(), &pb.Stage{Scope: second})
	require.NoError(t, err)
	require.Equal(t, "10.0.0.1", got.(*pb.Stage).Scope.Address)
	_, outcome, err = h.Put(t.Context(), &pb.Stage{Scope: second, Functions: []string{"log"}}, "test")
	require.NoError(t, err)
	require.Equal(t, pb.Outcome_OUTCOME_UNCHANGED, outcome)
	_, _, err = h.Put(t.Context(), &pb.Stage{Scope: second, Functions: []string{"log", "log"}}, "test")
	require.ErrorIs(t, err, ErrDiffers)

	_, err = h.Remove(t.Context(), changed, "", false, "test")
	require.NoError(t, err)
	w.requireWhole(t)
	w.open(t)
	w.requireWhole(t)
	require.Len(t, w.h.asked[pb.Kind_KIND_STAGE], 1)
}

// testFunctionInUse: another object cannot take the place of a function that is in a chain, nor can what is no function;
// and what is refused costs nothing of what is there.
func testFunctionInUse(t *testing.T, w *world) {
	h := w.h
	ns, _ := named(t, "one")
	s := full(t, ns)
	w.apply(t, s)
	etag := h.Etag()
	_, _, err := h.Put(t.Context(), with(&pb.Function{Name: "log", Object: object(t, "limiter")}, "*"), "test")
	require.ErrorIs(t, err, ErrInUse)
	_, err = h.Remove(t.Context(), &pb.Function{Name: "log"}, "", false, "test")
	require.ErrorIs(t, err, dataplane.ErrInUse)
	other := proto.CloneOf(s)
	other.Functions[0].Object = object(t, "limiter")
	other.Peers[0].Cookie = 9
	for _, dry := range []bool{true, false} {
		_, err = h.Apply(t.Context(), &pb.ApplyRequest{State: other, DryRun: dry}, "test")
		require.ErrorIs(t, err, ErrInUse)
	}
	require.Equal(t, etag, h.Etag())
	w.requireState(t, s)

	// One in no chain keeps what is in its maps when what shall replace it is refused.
	_, _, err = h.Put(t.Context(), &pb.Function{Name: "m", Object: object(t, "limiter")}, "test")
	require.NoError(t, err)
	f, err := h.Get(t.Context(), &pb.Function{Name: "m"})
	require.NoError(t, err)
	m := f.(*pb.Function).Status.Maps[0]
	entry := &pb.MapEntry{Key: make([]byte, m.KeySize), Value: make([]byte, m.ValueSize)}
	_, _, err = h.UpdateFunctionMap(t.Context(), &pb.UpdateFunctionMapRequest{Function: "m", Map: m.Name, Entries: []*pb.MapEntry{entry}}, "test")
	require.NoError(t, err)
	for what, bad := range map[string][]byte{"garbage": []byte("\x7fELF garbage"), "refused": hostile(t)} {
		_, _, err = h.Put(t.Context(), with(&pb.Function{Name: "m", Object: bad}, "*"), "test")
		require.Error(t, err, what)
		n := 0
		for _, err := range h.FunctionMap(t.Context(), "m", m.Name) {
			require.NoError(t, err)
			n++
		}
		require.Equal(t, 1, n, what)
	}
	for name, err := range h.dp.Function.List(t.Context()) {
		require.NoError(t, err)
		require.Contains(t, []string{"log", "m"}, name)
	}
}

// hostile is an object whose program the verifier refuses: the first calls of helpers in it are of none that there is.
func hostile(t testing.TB) []byte {
	t.Helper()
	raw := append([]byte(nil), object(t, "limiter")...)
	call := []byte{0x85, 0, 0, 0, 1, 0, 0, 0} // map_lookup_elem
	n := 0
	for i := 0; i+8 <= len(raw); i++ {
		if string(raw[i:i+8]) == string(call) {
			raw[i+6] = 0x7f
			n++
		}
	}
	require.NotZero(t, n)
	return raw
}

// testMapOfEachCPU: one that has a value for each CPU is read and written with all of them.
func testMapOfEachCPU(t *testing.T, w *world) {
	h := w.h
	got, _, err := h.Put(t.Context(), &pb.Function{Name: "m", Object: object(t, "mirror")}, "test")
	require.NoError(t, err)
	m := got.(*pb.Function).Status.Maps[0]
	require.Equal(t, "PerCPUArray", m.Type)
	read := func() (all []*pb.MapEntry) {
		for e, err := range h.FunctionMap(t.Context(), "m", m.Name) {
			require.NoError(t, err)
			all = append(all, e)
		}
		return all
	}
	all := read()
	require.Len(t, all, 1)
	require.NotEmpty(t, all[0].Value)
	require.Zero(t, len(all[0].Value)%int(m.ValueSize))
	for i := range all[0].Value {
		all[0].Value[i] = byte(i)
	}
	_, _, err = h.UpdateFunctionMap(t.Context(), &pb.UpdateFunctionMapRequest{Function: "m", Map: m.Name, Entries: all}, "test")
	require.NoError(t, err)
	require.Equal(t, all[0].Value, read()[0].Value)
}
