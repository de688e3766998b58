// SPDX-License-Identifier: Apache-2.0

package bpffs

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/internal/testutil"
)

// T15: pins are 0700 root; what others could have put there is not used.
func TestOwned(t *testing.T) {
	root := testutil.BPFFS(t)
	dir := filepath.Join(root, "mizar", "blue")
	require.NoError(t, os.MkdirAll(dir, 0o700))
	require.NoError(t, Owned(dir))
	require.NoError(t, Owned(root))

	const nobody = 65534
	outside := filepath.Join(t.TempDir(), "link")
	for name, spoil := range map[string]struct {
		do, undo func() error
		path     string
	}{
		"mode": {
			func() error { return os.Chmod(dir, 0o750) },
			func() error { return os.Chmod(dir, 0o700) }, dir,
		},
		"mode of the one above": {
			func() error { return os.Chmod(filepath.Dir(dir), 0o701) },
			func() error { return os.Chmod(filepath.Dir(dir), 0o700) }, dir,
		},
		"owner": {
			func() error { return os.Chown(dir, nobody, 0) },
			func() error { return os.Chown(dir, 0, 0) }, dir,
		},
		"owner of the one above": {
			func() error { return os.Chown(filepath.Dir(dir), nobody, 0) },
			func() error { return os.Chown(filepath.Dir(dir), 0, 0) }, dir,
		},
		"root that others may write to": {
			func() error { return os.Chmod(root, 0o777) },
			func() error { return os.Chmod(root, 0o700) }, dir,
		},
		"symbolic link": {
			func() error { return os.Symlink(dir, filepath.Join(root, "link")) },
			func() error { return os.Remove(filepath.Join(root, "link")) }, filepath.Join(root, "link"),
		},
		"symbolic link on the way": {
			func() error { return os.Symlink(filepath.Dir(dir), outside) },
			func() error { return os.Remove(outside) }, filepath.Join(outside, "blue"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, spoil.do())
			require.ErrorIs(t, Owned(spoil.path), ErrNotOwned)
			require.NoError(t, spoil.undo())
			require.NoError(t, Owned(dir))
		})
	}

	// As mount -t bpf leaves it without options.
	require.NoError(t, unix.Chmod(root, 0o1777))
	require.NoError(t, Owned(dir))

	require.ErrorIs(t, Owned(filepath.Join(root, "none")), os.ErrNotExist)
	require.ErrorIs(t, Owned(t.TempDir()), ErrNotMounted)
}
