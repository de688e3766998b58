// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Names is where namespaces have names, for `ip netns` as well.
const Names = "/run/netns"

// NamePath is where a namespace of a name is, if there is one.
func NamePath(name string) string { return filepath.Join(Names, name) }

// NewNamed makes a namespace that stays, by its name, until it is removed by [RemoveNamed]. Close lets go of
// the descriptor only.
func NewNamed(name string) (_ *Namespace, err error) {
	if err := shareNames(); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(NamePath(name), os.O_CREATE|os.O_EXCL, 0o444)
	if err != nil {
		return nil, fmt.Errorf("create namespace: %w", err)
	}
	n, err := newNamespace(name, func() error {
		return unix.Mount("/proc/thread-self/ns/net", f.Name(), "", unix.MS_BIND, "")
	})
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, errors.Join(err, RemoveNamed(name))
	}
	return n, nil
}

// RemoveNamed removes a name, if it is there, and with it the namespace, unless somebody still uses it.
func RemoveNamed(name string) error {
	path := NamePath(name)
	// EINVAL: the file alone, of a namespace half made, or of before a reboot.
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && err != unix.EINVAL && err != unix.ENOENT {
		return fmt.Errorf("unmount %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove namespace: %w", err)
	}
	return nil
}

// shareNames makes the directory a shared mount, as `ip netns` does: else ip would, later, mount it over
// itself, with every namespace twice.
func shareNames() error {
	if err := os.MkdirAll(Names, 0o755); err != nil {
		return err
	}
	err := unix.Mount("", Names, "", unix.MS_SHARED|unix.MS_REC, "")
	if err == unix.EINVAL { // no mount point yet
		if err = unix.Mount(Names, Names, "", unix.MS_BIND|unix.MS_REC, ""); err == nil {
			err = unix.Mount("", Names, "", unix.MS_SHARED|unix.MS_REC, "")
		}
	}
	if err != nil {
		return fmt.Errorf("share %s: %w", Names, err)
	}
	return nil
}
