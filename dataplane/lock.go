// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// lock is the right to change an instance: a flock on its directory, which the kernel lets go when the
// process dies.
type lock struct {
	dir *os.File
}

// takeLock makes the instance's directory where there is none, and locks it. Where another holds it, it
// does not wait: [ErrLocked].
func takeLock(dir string) (*lock, error) {
	// Whoever destroys the instance takes the directory away, maybe between two of our steps.
	for range 100 {
		l, err := tryLock(dir)
		if l != nil || err != nil {
			return l, err
		}
	}
	return nil, fmt.Errorf("lock %s: %w: it comes and goes", dir, ErrLocked)
}

// tryLock returns neither where the directory was removed meanwhile.
func tryLock(dir string) (_ *lock, err error) {
	for _, d := range []string{filepath.Dir(dir), dir} {
		switch err := makeDir(d); {
		case errors.Is(err, fs.ErrNotExist):
			return nil, nil
		case err != nil:
			return nil, err
		}
	}
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	l := &lock{dir: os.NewFile(uintptr(fd), dir)}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.release())
		}
	}()
	switch err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); {
	case errors.Is(err, unix.EWOULDBLOCK):
		return nil, fmt.Errorf("lock %s: %w", dir, ErrLocked)
	case err != nil:
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	ours, err := l.is(dir)
	if err != nil {
		return nil, err
	}
	if !ours {
		return nil, l.release()
	}
	return l, nil
}

// is tells whether the locked directory is the one that dir names.
func (l *lock) is(dir string) (bool, error) {
	locked, err := l.dir.Stat()
	if err != nil {
		return false, fmt.Errorf("lock %s: %w", dir, err)
	}
	named, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("lock %s: %w", dir, err)
	}
	return os.SameFile(locked, named), nil
}

// release lets others in. It may be called again.
func (l *lock) release() error {
	if l == nil || l.dir == nil {
		return nil
	}
	dir := l.dir
	l.dir = nil
	// A child that another goroutine is just starting has the descriptor, too, until it execs.
	return errors.Join(unix.Flock(int(dir.Fd()), unix.LOCK_UN), dir.Close())
}
