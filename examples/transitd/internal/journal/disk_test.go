// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
	"github.com/mizar-go/mizar/internal/testutil"
)

// tiny is a file system with room for some pages.
func tiny(t testing.TB) string {
	t.Helper()
	testutil.Root(t)
	dir := t.TempDir()
	require.NoError(t, unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"))
	t.Cleanup(func() { require.NoError(t, unix.Unmount(dir, 0)) })
	return dir
}

// eat takes all room that is left, and gives it back.
func eat(t testing.TB, dir string) (free func()) {
	t.Helper()
	path := filepath.Join(dir, "food")
	f, err := os.Create(path)
	require.NoError(t, err)
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	require.ErrorIs(t, err, unix.ENOSPC)
	require.NoError(t, f.Close())
	return func() { require.NoError(t, os.Remove(path)) }
}

func object(size int) *pb.State {
	return &pb.State{Functions: []*pb.Function{{Name: "f", Object: make([]byte, size)}}}
}

// TestFullDisk: a change that cannot be written is none, also where some of it fits; with room it goes on.
func TestFullDisk(t *testing.T) {
	dir := tiny(t)
	var w told
	j, _, err := Open(dir, w.hear)
	require.NoError(t, err)
	require.NoError(t, j.Begin(Change{Put: vpc(1)}))
	require.NoError(t, j.End(Change{}))
	require.ErrorIs(t, j.Begin(Change{Put: object(512 << 10)}), unix.ENOSPC)
	require.False(t, j.Full(), "nothing of it is left")
	free := eat(t, dir)
	require.ErrorIs(t, j.Begin(Change{Put: object(8 << 10)}), unix.ENOSPC)
	require.ErrorIs(t, j.Rewrite(object(8<<10)), unix.ENOSPC)
	require.NoFileExists(t, filepath.Join(dir, temporary))
	// One that should be written anew, and has no room for it, goes on while there is room for a change.
	j.full = 0
	require.True(t, j.Full())
	require.ErrorIs(t, j.Rewrite(object(8<<10)), unix.ENOSPC)
	require.False(t, j.Full() || j.Broken())
	w, found := reopen(t, dir)
	require.Equal(t, told{say(nil, nil, false), say(vpc(1), nil, false), say(nil, nil, false)}, w)
	require.Zero(t, found.Cut)

	free()
	require.NoError(t, j.Begin(Change{Put: vpc(2)}))
	w, _ = reopen(t, dir)
	require.Equal(t, say(vpc(2), nil, true), w[3])

	// The end of a change that was undone is lost: nothing is begun before the file says so in another way.
	free = eat(t, dir)
	require.ErrorIs(t, j.End(Change{Remove: object(8 << 10)}), unix.ENOSPC)
	require.True(t, j.Full())
	require.ErrorIs(t, j.Begin(Change{Put: vpc(3)}), unix.ENOSPC)
	free()
	require.NoError(t, j.Rewrite(vpc(1)))
	require.NoError(t, j.Begin(Change{Put: vpc(3)}))
	require.NoError(t, j.Close())
	w, _ = reopen(t, dir)
	require.Equal(t, told{say(vpc(1), nil, false), say(vpc(3), nil, true)}, w)
}

// TestFailingSync: what is not on disk for sure is not begun, and the next change needs a new file.
func TestFailingSync(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	require.NoError(t, j.Begin(Change{Put: vpc(1)}))
	require.NoError(t, j.End(Change{}))
	real := j.file
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0) // takes all writes, and cannot be synced
	require.NoError(t, err)
	j.file = null
	require.ErrorIs(t, j.Begin(Change{Put: vpc(2)}), unix.EINVAL)
	require.True(t, j.Full())
	require.Error(t, j.Begin(Change{Put: vpc(3)}))
	require.Error(t, j.End(Change{}))
	w, _ := reopen(t, dir)
	require.Equal(t, told{say(nil, nil, false), say(vpc(1), nil, false), say(nil, nil, false)}, w)

	require.NoError(t, j.Rewrite(vpc(1)))
	require.False(t, j.Full())
	require.NoError(t, j.Begin(Change{Put: vpc(4)}))
	w, _ = reopen(t, dir)
	require.Equal(t, told{say(vpc(1), nil, false), say(vpc(4), nil, true)}, w)
	require.NoError(t, real.Close())
}
