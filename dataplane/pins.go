// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/internal/bpffs"
)

// pins knows where everything of an instance is pinned:
//
//	<bpffs>/mizar/<name>/         locked
//	                     v2/      tables/ programs/ links/ functions/<name>/
//	                     new-*/   being built: becomes v2, or its programs
//
// bpffs takes no dots in names, so what is being built cannot hide.
type pins struct{ dir string }

func newPins(mount, name string) pins {
	return pins{dir: filepath.Join(mount, "mizar", name)}
}

const (
	tablesDir    = "tables"
	programsDir  = "programs"
	linksDir     = "links"
	functionsDir = "functions"

	buildPrefix = "new-"
)

var layoutName = regexp.MustCompile(`^v[0-9]+$`)

func (p pins) layout() string              { return filepath.Join(p.dir, "v"+strconv.Itoa(bpf.Layout)) }
func (p pins) tables() string              { return filepath.Join(p.layout(), tablesDir) }
func (p pins) programs() string            { return filepath.Join(p.layout(), programsDir) }
func (p pins) links() string               { return filepath.Join(p.layout(), linksDir) }
func (p pins) functions() string           { return filepath.Join(p.layout(), functionsDir) }
func (p pins) function(name string) string { return filepath.Join(p.functions(), name) }

// exist tells whether the instance is there. One of another layout is neither used nor overwritten.
func (p pins) exist() (bool, error) {
	entries, err := os.ReadDir(p.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read pins: %w", err)
	}
	there, other := false, ""
	for _, e := range entries {
		switch name := e.Name(); {
		case name == filepath.Base(p.layout()):
			there = true
		case layoutName.MatchString(name):
			other = name
		}
	}
	if !there && other != "" {
		return false, fmt.Errorf("%s: %w: layout %s, not v%d", p.dir, ErrABI, other, bpf.Layout)
	}
	return there, nil
}

// check refuses directories and files that are not, or not only, ours: whoever may write there chooses
// what the data-plane does.
func (p pins) check() error {
	for _, dir := range []string{p.tables(), p.programs(), p.links()} {
		if err := checkDir(dir); err != nil {
			return fmt.Errorf("check pins: %w", err)
		}
	}
	if err := bpffs.Owned(p.functions()); err != nil {
		return fmt.Errorf("check pins: %w", err)
	}
	names, err := p.functionNames()
	if err != nil {
		return fmt.Errorf("check pins: %w", err)
	}
	for _, n := range names {
		err := checkDir(p.function(n))
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile: who only looks has no lock
		}
		if err != nil {
			return fmt.Errorf("check pins: %w", err)
		}
	}
	return nil
}

// checkDir wants a directory of plain files, all ours.
func checkDir(dir string) error {
	if err := bpffs.Owned(dir); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := ownedFile(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// functionNames are the functions that are loaded.
func (p pins) functionNames() (names []string, err error) {
	entries, err := os.ReadDir(p.functions())
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

// ownedFile wants a plain file that nobody else may open.
func ownedFile(path string) error {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return fmt.Errorf("look at %s: %w", path, err)
	}
	switch mode := st.Mode & 0o7777; {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return fmt.Errorf("%s: %w: it is no plain file", path, ErrNotOwned)
	case st.Uid != 0 && int(st.Uid) != os.Geteuid():
		return fmt.Errorf("%s: %w: it belongs to user %d", path, ErrNotOwned, st.Uid)
	case mode&0o077 != 0:
		return fmt.Errorf("%s: %w: its mode is %04o, not 0600", path, ErrNotOwned, mode)
	}
	return nil
}

// makeDir makes a directory, or takes one that is ours.
func makeDir(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("create directory: %w", err)
	}
	return bpffs.Owned(dir)
}

// begin makes a directory to build in.
func (p pins) begin(subdirs ...string) (string, error) {
	dir, err := os.MkdirTemp(p.dir, buildPrefix+"*")
	if err != nil {
		return "", fmt.Errorf("create directory: %w", err)
	}
	for _, sub := range subdirs {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			return "", errors.Join(fmt.Errorf("create directory: %w", err), os.RemoveAll(dir))
		}
	}
	return dir, nil
}

// discard makes the instance something that sweep removes.
func (p pins) discard() error {
	dir, err := p.begin()
	if err != nil {
		return err
	}
	if err := os.Rename(p.layout(), filepath.Join(dir, filepath.Base(p.layout()))); err != nil {
		return fmt.Errorf("discard pins: %w", err)
	}
	return nil
}

// sweep removes what is discarded, and what builders left that died before they were done. The caller holds the lock, so that
// nobody builds.
func (p pins) sweep() error {
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		return fmt.Errorf("read pins: %w", err)
	}
	var errs []error
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), buildPrefix) {
			errs = append(errs, os.RemoveAll(filepath.Join(p.dir, e.Name())))
		}
	}
	return errors.Join(errs...)
}

// prune removes the directories that are empty: the instance's, and the one that all share.
func (p pins) prune() error {
	for _, dir := range []string{p.dir, filepath.Dir(p.dir)} {
		err := os.Remove(dir)
		switch {
		case errors.Is(err, unix.ENOTEMPTY), errors.Is(err, fs.ErrExist):
			return nil // others are there
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("remove directory: %w", err)
		}
	}
	return nil
}
