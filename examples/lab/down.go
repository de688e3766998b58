// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/mizar-go/mizar/dataplane"
	"github.com/mizar-go/mizar/examples/internal/lab"
)

// down takes down a lab, whatever is left of it.
func down(ctx context.Context, out io.Writer, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	c, text, err := find(name)
	if err != nil {
		return err
	}
	p, err := parse(statePath(name), name, text)
	if err != nil {
		return errors.Join(fmt.Errorf("lab %s: what it was built from is not what this program takes: %w", name, err), c.keep())
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return p.remove(ctx, out, c)
}

// remove takes down all that the plan names, as far as it is there, and forgets the lab. Where something
// stays, the lab is kept, for another try.
func (p *plan) remove(ctx context.Context, out io.Writer, c *claim) error {
	var errs []error
	for _, h := range p.hosts {
		gone, err := destroy(ctx, p.namespace(h.name), p.netns(h.name))
		if gone {
			_, _ = fmt.Fprintf(out, "data-plane %s: destroyed\n", p.namespace(h.name))
		}
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return errors.Join(fmt.Errorf("lab %s: %w", p.name, err), c.keep())
	}
	for _, name := range p.namespaces() {
		_, there := os.Lstat(lab.NamePath(name))
		still := users(lab.NamePath(name))
		err := lab.RemoveNamed(name)
		if err == nil && there == nil {
			_, _ = fmt.Fprintf(out, "namespace %s: removed%s\n", name, still)
		}
		errs = append(errs, err)
	}
	for _, h := range p.hosts {
		errs = append(errs, discard(pins(p.namespace(h.name))))
	}
	if err := errors.Join(errs...); err != nil {
		return errors.Join(fmt.Errorf("lab %s: %w", p.name, err), c.keep())
	}
	return c.drop()
}

// destroy removes a host's data-plane as a control plane would, where it is there and whole. What is not
// goes with its namespace, and discard takes the pins.
func destroy(ctx context.Context, name, netns string) (gone bool, err error) {
	if _, err := os.Lstat(pins(name)); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	dp, err := dataplane.Open(ctx, dataplane.Config{Name: name, NetNS: netns})
	if errors.Is(err, dataplane.ErrLocked) {
		return false, err
	}
	if err == nil {
		err = dp.Destroy(ctx)
	}
	return err == nil, nil
}

// users says which processes are in a namespace: they keep it, without its name, until they end.
func users(path string) (says string) {
	ns, err := os.Stat(path)
	if err != nil {
		return ""
	}
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range processes {
		in, err := os.Stat(filepath.Join(dir, "ns/net"))
		if err != nil || !os.SameFile(ns, in) {
			continue // it has ended, or is elsewhere
		}
		name, _ := os.ReadFile(filepath.Join(dir, "comm"))
		says += fmt.Sprintf("; process %s (%s) is still in it", filepath.Base(dir), strings.TrimSpace(string(name)))
	}
	return says
}

// discard removes what is pinned of a data-plane whose namespace is gone.
func discard(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	_ = os.Remove(filepath.Dir(dir)) // where it is empty
	return nil
}
