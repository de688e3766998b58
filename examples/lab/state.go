// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// stateDir has, for each lab, the file that it was built from. It is there before anything else of a lab,
// and until all else is gone: what it names is what there may be.
const stateDir = "/run/mizar-lab"

var (
	errNoLab = errors.New("there is no such lab")
	errBusy  = errors.New("it is being built, or taken down, right now")
	errUp    = errors.New("it is there already")
)

// claim is a lab that nobody else may build or take down meanwhile.
type claim struct{ file *os.File }

func statePath(name string) string { return filepath.Join(stateDir, name+".yaml") }

// take makes a lab's file, whole and locked from its first moment on, or not at all.
func take(name, text string) (_ *claim, err error) {
	if err := os.MkdirAll(stateDir, 0o700); err != nil {
		return nil, err
	}
	fd, err := unix.Open(stateDir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create file in %s: %w", stateDir, err)
	}
	file := os.NewFile(uintptr(fd), statePath(name))
	defer func() {
		if err != nil {
			err = errors.Join(err, file.Close())
			_ = os.Remove(stateDir) // where it is empty
		}
	}()
	if _, err := file.WriteString(text); err != nil {
		return nil, err
	}
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, fmt.Errorf("lock %s: %w", file.Name(), err)
	}
	err = unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), unix.AT_FDCWD, file.Name(), unix.AT_SYMLINK_FOLLOW)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("lab %s: %w: take it down first: lab down %[1]s", name, errUp)
	}
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", file.Name(), err)
	}
	return &claim{file}, nil
}

// find locks the file of a lab that was taken before, and reads it.
func find(name string) (_ *claim, text string, err error) {
	file, err := os.Open(statePath(name))
	if err != nil {
		return nil, "", absent(name, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, file.Close())
		}
	}()
	err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, "", fmt.Errorf("lab %s: %w", name, errBusy)
	}
	if err != nil {
		return nil, "", fmt.Errorf("lock %s: %w", file.Name(), err)
	}
	// Who held the lock may have taken the lab down meanwhile.
	var now unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &now); err != nil {
		return nil, "", err
	}
	if now.Nlink == 0 {
		return nil, "", fmt.Errorf("lab %s: %w", name, errNoLab)
	}
	b, err := io.ReadAll(file)
	return &claim{file}, string(b), err
}

// read is what a lab was built from, for who only looks.
func read(name string) (string, error) {
	b, err := os.ReadFile(statePath(name))
	return string(b), absent(name, err)
}

func absent(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("lab %s: %w", name, errNoLab)
	}
	return err
}

// keep leaves the lab to others.
func (c *claim) keep() error { return c.file.Close() }

// drop forgets the lab.
func (c *claim) drop() error {
	err := errors.Join(os.Remove(c.file.Name()), c.file.Close())
	_ = os.Remove(stateDir) // where it is empty
	return err
}
