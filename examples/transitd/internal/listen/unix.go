// SPDX-License-Identifier: Apache-2.0

package listen

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/examples/transitd/internal/config"
)

// ErrInUse says that somebody answers on the socket, or that what is there is no socket.
var ErrInUse = errors.New("in use")

// socket is the Unix socket. Closing it takes it away, unless it is another's by now.
type socket struct {
	*net.UnixListener
	path  string
	made  os.FileInfo
	close sync.Once
}

// Addr is what clients dial: the listener knows the first name only.
func (s *socket) Addr() net.Addr { return &net.UnixAddr{Name: s.path, Net: "unix"} }

// openSocket makes the socket under a name in a directory that only we may enter, gives it its group and mode,
// and renames it: at no time does it have other rights under its own name. Changing the umask instead would
// change it for the whole process.
func openSocket(c config.Unix) (_ *socket, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("open socket %s: %w", c.Path, err)
		}
	}()
	gid := -1
	if c.Group != "" {
		if gid, err = groupID(c.Group); err != nil {
			return nil, err
		}
	}
	dir := filepath.Dir(c.Path)
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	unlock, err := lock(dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := vacant(c.Path); err != nil {
		return nil, err
	}
	private, err := os.MkdirTemp(dir, ".t")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(private)
	name := filepath.Join(private, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // it knows the first name only
	defer func() {
		if err != nil {
			_ = l.Close()
		}
	}()
	if gid >= 0 {
		if err := os.Chown(name, -1, gid); err != nil {
			return nil, fmt.Errorf("give it to group %s, which takes being in it, or CAP_CHOWN: %w", c.Group, err)
		}
	}
	if err := os.Chmod(name, 0o660); err != nil {
		return nil, err
	}
	made, err := os.Lstat(name)
	if err != nil {
		return nil, err
	}
	if err := os.Rename(name, c.Path); err != nil {
		return nil, err
	}
	return &socket{UnixListener: l, path: c.Path, made: made}, nil
}

// Close stops listening, and takes the socket away.
func (s *socket) Close() (err error) {
	err = net.ErrClosed
	s.close.Do(func() { err = errors.Join(s.remove(), s.UnixListener.Close()) })
	return err
}

// remove goes before closing: until then, no other socket can have this one's inode number.
func (s *socket) remove() error {
	unlock, err := lock(filepath.Dir(s.path))
	if err != nil {
		return err
	}
	defer unlock()
	if now, err := os.Lstat(s.path); err == nil && os.SameFile(now, s.made) {
		return os.Remove(s.path)
	}
	return nil
}

func groupID(name string) (int, error) {
	if id, err := strconv.Atoi(name); err == nil {
		return id, nil
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, fmt.Errorf("find group: %w", err)
	}
	return strconv.Atoi(g.Gid)
}

// makeDir makes the socket's directory. In one where others may write, they could put a socket of theirs in
// the place of ours, and clients would tell it what they want to tell us.
func makeDir(dir string) error {
	info, err := os.Stat(dir)
	if errors.Is(err, os.ErrNotExist) {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := os.Chmod(dir, 0o755); err != nil { // whatever the umask
			return err
		}
		info, err = os.Stat(dir)
	}
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o022 != 0 && info.Mode()&os.ModeSticky == 0 {
		return fmt.Errorf("directory %s has mode %v: others could replace the socket", dir, info.Mode().Perm())
	}
	return nil
}

// lock has two daemons that start at once look one after the other.
func lock(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return func() { _ = f.Close() }, nil
}

// vacant says whether the socket may be put there: over none, or over that of a daemon that has died.
func vacant(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != os.ModeSocket:
		return fmt.Errorf("%w: it is no socket", ErrInUse)
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		_ = c.Close()
		return fmt.Errorf("%w: another daemon answers", ErrInUse)
	}
	// Only this one says that nobody listens. A daemon with too much to do has us wait, or try again.
	if errors.Is(err, unix.ECONNREFUSED) {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrInUse, err)
}
