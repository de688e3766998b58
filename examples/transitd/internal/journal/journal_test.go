// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// vpc is a state of one VPC.
func vpc(vni uint32) *pb.State { return &pb.State{Vpcs: []*pb.Vpc{{Vni: vni, Cookie: uint64(vni)}}} }

// told is what Open tells, in texts that can be compared.
type told []string

func say(put, remove *pb.State, pending bool) string {
	return fmt.Sprintf("put %v, remove %v, pending %v", vnis(put), vnis(remove), pending)
}

func vnis(s *pb.State) (all []uint32) {
	for _, v := range s.GetVpcs() {
		all = append(all, v.Vni)
	}
	return all
}

func (w *told) hear(c Change, pending bool) error {
	*w = append(*w, say(c.Put, c.Remove, pending))
	return nil
}

// reopen opens a journal that has to be in order, and closes it again.
func reopen(t testing.TB, dir string) (told, Found) {
	t.Helper()
	var w told
	j, found, err := Open(dir, w.hear)
	require.NoError(t, err)
	require.NoError(t, j.Close())
	return w, found
}

func open(t testing.TB, dir string) *Journal {
	t.Helper()
	j, _, err := Open(dir, func(Change, bool) error { return nil })
	require.NoError(t, err)
	t.Cleanup(func() { _ = j.Close() })
	return j
}

// filled is a journal of some changes: its bytes, and where its frames end.
func filled(t testing.TB) (raw []byte, ends []int) {
	t.Helper()
	dir := t.TempDir()
	j := open(t, dir)
	ends = append(ends, int(j.size))
	mark := func(err error) {
		require.NoError(t, err)
		ends = append(ends, int(j.size))
	}
	for vni := uint32(1); vni <= 3; vni++ {
		mark(j.Begin(Change{Put: vpc(vni), Remove: vpc(vni + 100)}))
		mark(j.End(Change{Put: vpc(vni + 200)}))
	}
	mark(j.Begin(Change{Put: vpc(9)}))
	raw, err := os.ReadFile(filepath.Join(dir, name))
	require.NoError(t, err)
	require.Len(t, raw, ends[len(ends)-1])
	return raw, ends
}

// all is what filled tells, if it is whole.
var all = told{
	say(nil, nil, false),
	say(vpc(1), vpc(101), false), say(vpc(201), nil, false),
	say(vpc(2), vpc(102), false), say(vpc(202), nil, false),
	say(vpc(3), vpc(103), false), say(vpc(203), nil, false),
	say(vpc(9), nil, true),
}

// pendingAt is which of those are pending when they are the last.
var pendingAt = map[int]string{
	1: say(vpc(1), vpc(101), true), 3: say(vpc(2), vpc(102), true), 5: say(vpc(3), vpc(103), true), 7: all[7],
}

func written(t testing.TB, raw []byte) (dir string) {
	t.Helper()
	dir = t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), raw, 0o600))
	return dir
}

func TestRoundTrip(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "by", "it")
	w, found := reopen(t, dir)
	require.Empty(t, w)
	require.True(t, found.Fresh)
	info, err := os.Stat(filepath.Join(dir, name))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())

	w, found = reopen(t, dir)
	require.Equal(t, told{say(nil, nil, false)}, w)
	require.Equal(t, Found{}, found)

	raw, _ := filled(t)
	dir = written(t, raw)
	for range 2 { // and again: opening changes nothing
		w, found = reopen(t, dir)
		require.Equal(t, all, w)
		require.Zero(t, found.Cut)
		require.True(t, proto.Equal(vpc(9), found.Pending.Put))
	}

	// What was pending is so no more once it is ended.
	j := open(t, dir)
	require.NoError(t, j.End(Change{}))
	w, found = reopen(t, dir)
	require.Equal(t, say(vpc(9), nil, false), w[7])
	require.Equal(t, say(nil, nil, false), w[8])
	require.Nil(t, found.Pending)
}

// TestTornTail: wherever the file ends, what was whole is told, the rest is cut off, and what is written next is found.
func TestTornTail(t *testing.T) {
	raw, ends := filled(t)
	for n := range raw {
		dir := written(t, raw[:n])
		if n < ends[0] { // the first frame is there before the file has its name
			_, _, err := Open(dir, func(Change, bool) error { return nil })
			require.ErrorIs(t, err, ErrDamaged, "%d bytes", n)
			continue
		}
		frames := 0
		for frames < len(ends) && ends[frames] <= n {
			frames++
		}
		want := append(told{}, all[:frames]...)
		if text, is := pendingAt[frames-1]; is {
			want[frames-1] = text
		}
		var w told
		j, found, err := Open(dir, w.hear)
		require.NoError(t, err, "%d bytes", n)
		require.Equal(t, want, w, "%d bytes", n)
		require.Equal(t, n-ends[frames-1], found.Cut)
		_, pending := pendingAt[frames-1]
		require.Equal(t, pending, found.Pending != nil)
		require.NoError(t, j.Begin(Change{Put: vpc(77)}))
		require.NoError(t, j.Close())
		w, found = reopen(t, dir)
		require.Equal(t, append(append(told{}, all[:frames]...), say(vpc(77), nil, true)), w)
		require.Zero(t, found.Cut)
	}
}

// TestTailInAnyOrder: blocks of what was never synced may be there in part, before others that are not.
func TestTailInAnyOrder(t *testing.T) {
	raw, ends := filled(t)
	// The last End and the last Begin: the first was never synced, and the power went while the second was.
	lastEnd, lastBegin := ends[len(ends)-3], ends[len(ends)-2]
	for _, zero := range [][2]int{{lastEnd, lastBegin}, {lastEnd, lastEnd + 10}, {lastBegin - 5, lastBegin + 5}, {lastBegin, lastBegin + headerSize}} {
		torn := append([]byte(nil), raw...)
		clear(torn[zero[0]:zero[1]])
		w, found := reopen(t, written(t, torn))
		require.NotNil(t, w)
		require.NotZero(t, found.Cut)
		whole := len(all) - 2
		if zero[0] >= lastBegin {
			whole++
		}
		want := append(told{}, all[:whole]...)
		if text, is := pendingAt[whole-1]; is {
			want[whole-1] = text
		}
		require.Equal(t, want, w)
	}
}

// TestBitFlips: one in what is known to have been on disk is damage, of which nothing is guessed; one behind it is
// what a power cut leaves.
func TestBitFlips(t *testing.T) {
	raw, ends := filled(t)
	known := ends[len(ends)-3] // before the last End
	for i := range raw {
		for bit := range 8 {
			if i >= ends[2] && bit != i%8 { // of the first frames each bit, of the others one in each byte
				continue
			}
			flipped := append([]byte(nil), raw...)
			flipped[i] ^= 1 << bit
			dir := written(t, flipped)
			var w told
			j, found, err := Open(dir, w.hear)
			if i < known {
				require.ErrorIs(t, err, ErrDamaged, "bit %d of byte %d", bit, i)
				now, err := os.ReadFile(filepath.Join(dir, name))
				require.NoError(t, err)
				require.Equal(t, flipped, now, "the evidence")
				continue
			}
			require.NoError(t, err, "bit %d of byte %d", bit, i)
			require.NotZero(t, found.Cut)
			require.Subset(t, append(all, pendingAt[5]), w)
			require.NoError(t, j.Close())
		}
	}
}

func TestOtherFrames(t *testing.T) {
	first, err := encode(whole, Change{}, 0)
	require.NoError(t, err)
	for what, frame := range map[string]func() ([]byte, error){
		"a second that says everything": func() ([]byte, error) { return encode(whole, Change{}, 0) },
		"of a kind that nobody knows":   func() ([]byte, error) { return encode('?', Change{}, 0) },
	} {
		second, err := frame()
		require.NoError(t, err)
		_, _, err = Open(written(t, append(append([]byte(nil), first...), second...)), func(Change, bool) error { return nil })
		require.ErrorIs(t, err, ErrDamaged, what)
	}
	second, err := encode(begin, Change{}, 0)
	require.NoError(t, err)
	_, _, err = Open(written(t, second), func(Change, bool) error { return nil })
	require.ErrorIs(t, err, ErrDamaged, "without a first")
	_, _, err = Open(written(t, nil), func(Change, bool) error { return nil })
	require.ErrorIs(t, err, ErrDamaged, "an empty file")

	refuse := fmt.Errorf("no")
	_, _, err = Open(written(t, first), func(Change, bool) error { return refuse })
	require.ErrorIs(t, err, refuse)
}

// TestRewrite: the file starts anew, and a crash before it has its name leaves the old one.
func TestRewrite(t *testing.T) {
	raw, _ := filled(t)
	dir := written(t, raw)
	require.NoError(t, os.WriteFile(filepath.Join(dir, temporary), raw[:7], 0o600))
	w, _ := reopen(t, dir)
	require.Equal(t, all, w)
	require.NoFileExists(t, filepath.Join(dir, temporary))

	j := open(t, dir)
	require.False(t, j.Full())
	require.NoError(t, j.Rewrite(vpc(5)))
	require.NoFileExists(t, filepath.Join(dir, temporary))
	require.NoError(t, j.Begin(Change{Put: vpc(6)}))
	w, _ = reopen(t, dir)
	require.Equal(t, told{say(vpc(5), nil, false), say(vpc(6), nil, true)}, w)

	// What cannot be written leaves the old one.
	require.NoError(t, os.Mkdir(filepath.Join(dir, temporary), 0o700))
	require.Error(t, j.Rewrite(vpc(7)))
	require.NoError(t, os.Remove(filepath.Join(dir, temporary)))
	require.NoError(t, j.End(Change{}))
	w, _ = reopen(t, dir)
	require.Len(t, w, 3)
}

// TestFull: a journal that has grown asks to be written anew.
func TestFull(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	big := &pb.State{Functions: []*pb.Function{{Name: "f", Object: make([]byte, 4<<20)}}}
	n := 0
	for ; !j.Full(); n++ {
		require.Less(t, n, 10)
		require.NoError(t, j.Begin(Change{Put: big}))
		require.NoError(t, j.End(Change{}))
	}
	require.Equal(t, 4, n, "of 4 MiB, beside a base of next to nothing")
	require.NoError(t, j.Rewrite(big))
	require.False(t, j.Full())
	_, found := reopen(t, dir)
	require.Nil(t, found.Pending)
}

// TestAMillionEndpoints: a change of that many is written, and read again.
func TestAMillionEndpoints(t *testing.T) {
	const many = 1_000_000
	s := &pb.State{}
	for i := range many {
		s.Endpoints = append(s.Endpoints, &pb.Endpoint{
			Vni: 1<<24 - 1, Address: fmt.Sprintf("2001:db8::%x:%x", i>>16, i&0xffff), Host: "2001:db8:ffff:ffff:ffff:ffff:ffff:1",
			Mac: "02:00:00:00:00:01", Cookie: 1<<64 - 1,
		})
	}
	dir := t.TempDir()
	j := open(t, dir)
	require.NoError(t, j.Begin(Change{Put: s}))
	read := 0
	again, _, err := Open(dir, func(c Change, _ bool) error {
		read += len(c.Put.Endpoints) + len(c.Remove.Endpoints)
		return nil
	})
	require.NoError(t, err)
	require.NoError(t, again.Close())
	require.Equal(t, many, read)
}
