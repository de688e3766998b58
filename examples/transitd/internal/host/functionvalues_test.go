// SPDX-License-Identifier: Apache-2.0

package host

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mizar-go/mizar/dataplane"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// testFunctionValues: the values of a function's variables are part of what it is, now and after a restart; what does
// not fit the object, or its maps, is refused, and nothing of it is written.
func testFunctionValues(t *testing.T, w *world) {
	h, ctx := w.h, t.Context()
	fn := func(variable string, size int, first byte) *pb.Function {
		value := make([]byte, size)
		copy(value, []byte{first})
		return &pb.Function{Name: "m", Object: object(t, "mirror"), Variables: map[string][]byte{variable: value}}
	}
	spec, err := collection(&pb.Function{Object: object(t, "mirror")})
	require.NoError(t, err)
	size := int(spec.Variables["mirror"].Size())
	empty := w.kernel(t)
	for field, bad := range map[string]*pb.Function{
		"variables": fn("nosuch", size, 1), "object": {Name: "m"}, "name": {Name: trial, Object: object(t, "mirror")},
	} {
		_, _, err := h.Put(ctx, bad, "test")
		require.ErrorIs(t, err, dataplane.ErrInvalid)
		var of *Error
		require.ErrorAs(t, err, &of)
		require.Equal(t, field, of.Field)
	}
	for _, n := range []int{0, size - 1, size + 1} {
		_, _, err = h.Put(ctx, fn("mirror", n, 1), "test")
		require.ErrorIs(t, err, dataplane.ErrInvalid)
	}
	require.Empty(t, functionNames(t, h))
	require.Equal(t, empty, w.kernel(t))

	_, outcome, err := h.Put(ctx, fn("mirror", size, 1), "test")
	require.NoError(t, err)
	require.Equal(t, pb.Outcome_OUTCOME_ADDED, outcome)
	_, _, err = h.Put(ctx, fn("mirror", size, 2), "test")
	require.ErrorIs(t, err, ErrDiffers)
	_, outcome, err = h.Put(ctx, with(fn("mirror", size, 2), anyEtag).(*pb.Function), "test")
	require.NoError(t, err)
	require.Equal(t, pb.Outcome_OUTCOME_REPLACED, outcome)
	h = w.open(t)
	require.Empty(t, h.repairs)
	_, outcome, err = h.Put(ctx, fn("mirror", size, 2), "test")
	require.NoError(t, err)
	require.Equal(t, pb.Outcome_OUTCOME_UNCHANGED, outcome)

	// Its maps, and those of another.
	_, _, err = h.Put(ctx, &pb.Function{Name: "l", Object: object(t, "limiter")}, "test")
	require.NoError(t, err)
	whole := &pb.MapEntry{Key: make([]byte, 4), Value: make([]byte, 40)}
	for field, r := range map[string]*pb.UpdateFunctionMapRequest{
		"entries[1].key":   {Entries: []*pb.MapEntry{whole, {Key: make([]byte, 3), Value: make([]byte, 40)}}},
		"entries[1].value": {Entries: []*pb.MapEntry{whole, {Key: make([]byte, 4), Value: make([]byte, 41)}}},
		"entries[0].key":   {Entries: []*pb.MapEntry{nil}},
		"delete_keys[0]":   {Entries: []*pb.MapEntry{whole}, DeleteKeys: [][]byte{nil}},
	} {
		r.Function, r.Map = "l", "buckets"
		written, deleted, err := h.UpdateFunctionMap(ctx, r, "test")
		require.ErrorIs(t, err, dataplane.ErrInvalid)
		var of *Error
		require.ErrorAs(t, err, &of)
		require.Equal(t, field, of.Field)
		require.Zero(t, written+deleted)
	}
	entries := func(function, name string) (n int, err error) {
		for _, err := range h.FunctionMap(ctx, function, name) {
			if err != nil {
				return n, err
			}
			n++
		}
		return n, nil
	}
	n, err := entries("l", "buckets")
	require.NoError(t, err)
	require.Zero(t, n)
	written, deleted, err := h.UpdateFunctionMap(ctx, &pb.UpdateFunctionMapRequest{
		Function: "l", Map: "buckets", Entries: []*pb.MapEntry{whole}, DeleteKeys: [][]byte{{9, 9, 9, 9}, whole.Key},
	}, "test")
	require.NoError(t, err)
	require.Equal(t, []int{1, 1}, []int{written, deleted}, "what is not there is skipped, and entries come first")
	for _, c := range [][2]string{{"l", "nosuch"}, {"l", ".rodata"}, {"l", "endpoints"}, {"nosuch", "buckets"}} {
		_, err = entries(c[0], c[1])
		require.ErrorIs(t, err, dataplane.ErrNotFound, "%v", c)
		_, _, err = h.UpdateFunctionMap(ctx, &pb.UpdateFunctionMapRequest{Function: c[0], Map: c[1]}, "test")
		require.ErrorIs(t, err, dataplane.ErrNotFound, "%v", c)
	}
	_, err = entries("../a", "buckets")
	require.ErrorIs(t, err, dataplane.ErrInvalid, "no path (T14)")
}
