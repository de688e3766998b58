// SPDX-License-Identifier: Apache-2.0

package bpffs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ErrNotOwned: a directory that other users could have made, or can change. Nothing in it is to be
// trusted.
var ErrNotOwned = errors.New("directory is not ours alone")

// Owned tells whether dir can be trusted to hold only what root put there: nil if so. It and all
// directories above it, up to the root of its bpffs, have to be root's (or the process's own user's) and of
// mode 0700, and the path must not lead through symbolic links. The root itself may be open to others if
// it is sticky, as it is where bpffs was mounted without options: they cannot rename or remove what is
// not theirs.
func Owned(dir string) error {
	path, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("look at %s: %w", dir, err)
	}
	direct, err := filepath.EvalSymlinks(path)
	if err != nil {
		return fmt.Errorf("look at %s: %w", dir, err)
	}
	if direct != path {
		return fmt.Errorf("%s: %w: the path leads through a symbolic link, to %s", path, ErrNotOwned, direct)
	}
	if err := Check(path); err != nil {
		return err
	}
	for {
		var st, up unix.Stat_t
		if err := errors.Join(unix.Lstat(path, &st), unix.Lstat(filepath.Dir(path), &up)); err != nil {
			return fmt.Errorf("look at %s: %w", path, err)
		}
		root := st.Dev != up.Dev
		if err := owned(&st, root); err != nil {
			return fmt.Errorf("%s: %w: %w", path, ErrNotOwned, err)
		}
		if root {
			return nil
		}
		path = filepath.Dir(path)
	}
}

func owned(st *unix.Stat_t, root bool) error {
	mode := st.Mode & 0o7777
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return errors.New("it is no directory")
	case st.Uid != 0 && int(st.Uid) != os.Geteuid():
		return fmt.Errorf("it belongs to user %d", st.Uid)
	case root && (mode&unix.S_ISVTX != 0 || mode&0o022 == 0):
		return nil
	case mode != 0o700:
		return fmt.Errorf("its mode is %04o, not 0700", mode)
	}
	return nil
}
