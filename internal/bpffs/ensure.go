// SPDX-License-Identifier: Apache-2.0

package bpffs

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

var (
	// ErrNotMounted: the path is there, but it is not on a bpffs.
	ErrNotMounted = errors.New("no bpffs is mounted there")
	// ErrReadOnly: nothing can be pinned or mounted there, as the file system is read-only.
	ErrReadOnly = errors.New("file system is read-only")
	// ErrPrivate: the process has a /sys of its own, as ip netns exec gives it. What is pinned there is
	// lost when it ends.
	ErrPrivate = errors.New("/sys is private to this process, as under ip netns exec")
)

// Check tells whether path is on a bpffs that can be written to: nil if so.
func Check(path string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return fmt.Errorf("look at %s: %w", path, err)
	}
	switch {
	case int64(st.Type) != unix.BPF_FS_MAGIC:
		return fmt.Errorf("look at %s: %w", path, ErrNotMounted)
	case st.Flags&unix.ST_RDONLY != 0:
		return fmt.Errorf("bpffs at %s: %w: mount it anew with -o remount,rw", path, ErrReadOnly)
	}
	return nil
}

// Ensure mounts a bpffs at path, for root only, if none is mounted there. The directory is made if it is
// missing. On failure it is as before.
func Ensure(path string) error {
	return ensure(path, "/proc/thread-self/mountinfo", "/run/netns")
}

func ensure(path, mountinfo, names string) (err error) {
	made, err := makeDir(path)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil && made {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	// Two that mount at once would hide the one's pins under the other's.
	dir, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	defer dir.Close()
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", path, err)
	}
	if err := Check(path); !errors.Is(err, ErrNotMounted) {
		return err
	}
	if err := private(path, mountinfo, names); err != nil {
		return err
	}
	err = unix.Mount("bpf", path, "bpf", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0700")
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Errorf("mount bpffs at %s: it takes CAP_SYS_ADMIN; or have it mounted before: mount -t bpf bpf %s: %w",
			path, path, err)
	case errors.Is(err, unix.EROFS):
		return fmt.Errorf("mount bpffs at %s: %w: %w", path, ErrReadOnly, err)
	}
	return fmt.Errorf("mount bpffs at %s: %w", path, err)
}

// makeDir makes the mount point, and tells whether it was missing.
func makeDir(path string) (bool, error) {
	err := os.Mkdir(path, 0o700)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, fs.ErrExist):
		return false, nil
	}
	// On a read-only file system, and in a sysfs, the directory may be there all the same.
	if st, stat := os.Stat(path); stat == nil && st.IsDir() {
		return false, nil
	}
	if errors.Is(err, unix.EROFS) {
		return false, fmt.Errorf("make mount point for bpffs: %w: mount a bpffs elsewhere, or %s from outside: %w", ErrReadOnly, path, err)
	}
	return false, fmt.Errorf("make mount point for bpffs: %w", err)
}

// private refuses to mount on the /sys that ip netns exec makes: a sysfs of that process alone, whose
// source is the name of the network namespace.
func private(path, mountinfo, names string) error {
	source, err := sysfsSource(mountinfo)
	if err != nil {
		return fmt.Errorf("look for private /sys: %w", err)
	}
	direct, err := filepath.EvalSymlinks(path)
	if err != nil {
		return fmt.Errorf("look for private /sys: %w", err)
	}
	if source == "" || strings.Contains(source, "/") || !strings.HasPrefix(direct, "/sys/") {
		return nil
	}
	name := filepath.Join(names, source)
	if _, err := os.Lstat(name); err != nil {
		return nil // no namespace of that name: the usual /sys, whatever its source is called
	}
	return fmt.Errorf("mount bpffs at %s: %w: what is pinned there would be lost with the process; "+
		"run it by nsenter --net=%s instead, or give it a bpffs that is mounted elsewhere", path, ErrPrivate, name)
}

// sysfsSource is the source of the mount at /sys; empty if there is none of its own. The last one hides
// those before.
func sysfsSource(mountinfo string) (source string, err error) {
	f, err := os.Open(mountinfo)
	if err != nil {
		return "", err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		// 36 35 98:0 /root /mount/point options optional... - type source options
		before, after, found := strings.Cut(lines.Text(), " - ")
		mount, fields := strings.Fields(before), strings.Fields(after)
		if found && len(mount) > 4 && mount[4] == "/sys" && len(fields) > 1 && fields[0] == "sysfs" {
			source = fields[1]
		}
	}
	return source, lines.Err()
}
