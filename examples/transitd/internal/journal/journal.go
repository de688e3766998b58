// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"

	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// ErrDamaged: the file is not what was written.
var ErrDamaged = errors.New("damaged")

const (
	name      = "state"
	temporary = "state.new"
)

// Journal is the file, open for writing. It is used by one goroutine at a time.
type Journal struct {
	dir   string
	file  *os.File
	size  int64 // of the file
	disk  int64 // as much of it is on disk for sure
	full  int64 // the size from which on it should be written anew
	broke error // a write failed: what is at the file's end is not known
}

// Found is what Open read. It calls back for each change, in order, so that it need not keep them all.
type Found struct {
	// Fresh: there was no file.
	Fresh bool
	// Cut is how many bytes of a last frame were cut off.
	Cut int
	// Pending is the change that was begun last and not ended; nil: none. It has been told already.
	Pending *Change
}

// Open opens the journal in a directory, which it makes if it is not there, and tells what is in it: first all
// there was, as one change, then what changed. pending says that nobody knows how far the change came: it is the last.
func Open(dir string, tell func(c Change, pending bool) error) (_ *Journal, found Found, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("open journal in %s: %w", dir, err)
		}
	}()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, found, err
	}
	if err := os.Remove(filepath.Join(dir, temporary)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, found, err
	}
	j := &Journal{dir: dir}
	raw, err := os.ReadFile(j.path())
	if errors.Is(err, fs.ErrNotExist) {
		found.Fresh = true
		return j, found, j.Rewrite(&pb.State{})
	}
	if err != nil {
		return nil, found, err
	}
	if j.size, err = replay(raw, &found, tell); err != nil {
		return nil, found, err
	}
	found.Cut = len(raw) - int(j.size)
	if j.file, err = os.OpenFile(j.path(), os.O_RDWR, 0o600); err != nil {
		return nil, found, err
	}
	// What was cut off must not stay behind what comes.
	if err := errors.Join(j.file.Truncate(j.size), j.file.Sync()); err != nil {
		return nil, found, errors.Join(err, j.file.Close())
	}
	j.disk, j.full = j.size, more(0)
	return j, found, nil
}

// replay tells frames one later than it reads them, as a change is pending only if nothing follows.
func replay(raw []byte, found *Found, tell func(Change, bool) error) (size int64, err error) {
	var begun *Change
	for int(size) < len(raw) {
		f, ok := next(raw[size:])
		if !ok && size > 0 && !lost(raw, int(size)) {
			break
		}
		if !ok {
			return 0, fmt.Errorf("%w at byte %d: it was whole once", ErrDamaged, size)
		}
		kind, c, err := f.decode()
		switch {
		case err != nil:
			return 0, fmt.Errorf("%w at byte %d: %w", ErrDamaged, size, err)
		case (kind == whole) != (size == 0), kind != whole && kind != begin && kind != end:
			return 0, fmt.Errorf("%w at byte %d: a frame %q", ErrDamaged, size, kind)
		}
		if begun != nil {
			if err := tell(*begun, false); err != nil {
				return 0, err
			}
			begun = nil
		}
		if kind == begin {
			begun = &c
		} else if err := tell(c, false); err != nil {
			return 0, err
		}
		size += int64(f.size)
	}
	if size == 0 {
		return 0, fmt.Errorf("%w: it is empty", ErrDamaged) // Rewrite never leaves it so
	}
	if begun != nil {
		found.Pending = begun
		return size, tell(*begun, true)
	}
	return size, nil
}

// Begin writes that a change is about to be made. When it returns, a power cut does not lose it.
func (j *Journal) Begin(c Change) error {
	was := j.size
	if err := j.append(begin, c); err != nil {
		return err
	}
	if err := j.file.Sync(); err != nil {
		// The kernel has forgotten what it could not write: the next sync would succeed. What is not begun shall not be
		// found begun by who opens the file before it is written anew.
		j.broke, j.size = err, was
		return fmt.Errorf("sync journal: %w", errors.Join(err, j.file.Truncate(was)))
	}
	j.disk = j.size
	return nil
}

// End writes that the last change was made. c is what came of it beside; after one that failed, what takes it back.
// It is not synced: a daemon that dies looks after the change again. If it fails, the next change has to wait for a
// [Journal.Rewrite], as the file would say that the last one was made, which may have been undone.
func (j *Journal) End(c Change) error {
	err := j.append(end, c)
	if err != nil && j.broke == nil {
		j.broke = err
	}
	return err
}

// Full tells that the file should be written anew.
func (j *Journal) Full() bool { return j.size > j.full || j.broke != nil }

// Broken tells that nothing can be written before the file is written anew.
func (j *Journal) Broken() bool { return j.broke != nil }

// more is how much may follow what is whole: several times as much, and a little in any case.
func more(whole int64) int64 { return max(4*whole, 16<<20) }

// Rewrite replaces the file by one that starts with what all is like now. A crash leaves the old one or the new. Where
// it fails, for there is no room for both, the old one goes on if it is not [Journal.Broken].
func (j *Journal) Rewrite(all *pb.State) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("rewrite journal: %w", err)
			j.full = j.size + 1<<20 // not to be tried for every change
		}
	}()
	frame, err := encode(whole, Change{Put: all}, 0)
	if err != nil {
		return err
	}
	to := filepath.Join(j.dir, temporary)
	file, err := os.OpenFile(to, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, file.Close(), os.Remove(to))
		}
	}()
	if _, err := file.Write(frame); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	if err := os.Rename(to, j.path()); err != nil {
		return err
	}
	old := j.file
	j.file, j.size, j.broke = file, int64(len(frame)), nil
	j.full, j.disk = j.size+more(j.size), j.size
	if old != nil {
		_ = old.Close() // it has no name any more
	}
	// From here on the new file counts: an error must not take it away.
	if synced := syncDir(j.dir); synced != nil {
		j.broke = synced
	}
	return nil
}

// Close closes the file.
func (j *Journal) Close() error { return j.file.Close() }

// Remove deletes the file: all is forgotten. What is left to do is Close.
func (j *Journal) Remove() error {
	if err := os.Remove(j.path()); err != nil {
		return fmt.Errorf("remove journal: %w", err)
	}
	return syncDir(j.dir)
}

func (j *Journal) path() string { return filepath.Join(j.dir, name) }

func (j *Journal) append(kind byte, c Change) error {
	if j.broke != nil {
		return fmt.Errorf("write journal: after a failure: %w", j.broke)
	}
	frame, err := encode(kind, c, j.disk)
	if err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	if _, err := j.file.WriteAt(frame, j.size); err != nil {
		// Maybe some of it is there: take it away, for what comes next.
		if undo := j.file.Truncate(j.size); undo != nil {
			j.broke = errors.Join(err, undo)
		}
		return fmt.Errorf("write journal: %w", err)
	}
	j.size += int64(len(frame))
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }
