// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/mizar-go/mizar/examples/internal/lab"
)

// world is everything that the demo makes.
type world struct {
	dir       string // certificates, files, sockets, states, logs
	underlay  *lab.Switch
	daemons   map[string]*daemon   // by host
	workloads map[string]*workload // by tenant and host: red-a
	shell     *shell
}

// build makes the programs, the certificates, and the hosts with their workloads' namespaces. Also when it fails, the
// world is the caller's to close.
func build(ctx context.Context, out io.Writer, bin string) (w *world, err error) {
	w = &world{daemons: make(map[string]*daemon), workloads: make(map[string]*workload)}
	if w.dir, err = os.MkdirTemp("", "mizar-demo-"); err != nil {
		return w, err
	}
	w.shell = &shell{out: out, dir: w.dir}
	w.shell.say("Three hosts, %s, %s and %s, and a manager, %s, on one switch.", hosts[0].at, hosts[1].at, hosts[2].at, manager.at)
	if bin == "" {
		w.shell.say("Building transitd and transitctl.")
		bin = filepath.Join(w.dir, "bin")
		if err := compile(ctx, bin); err != nil {
			return w, err
		}
	}
	if bin, err = filepath.Abs(bin); err != nil {
		return w, err
	}
	w.shell.transitctl = filepath.Join(bin, "transitctl")
	if err := w.certify(); err != nil {
		return w, err
	}
	if w.underlay, err = lab.NewSwitch(true); err != nil {
		return w, err
	}
	for _, p := range hosts {
		h, err := w.underlay.Host(p.name, p.at)
		if err != nil {
			return w, err
		}
		w.daemons[p.name] = &daemon{Host: h, program: filepath.Join(bin, "transitd"), dir: w.dir}
	}
	if w.shell.at, err = w.underlay.Host(manager.name, manager.at); err != nil {
		return w, err
	}
	for _, t := range tenants {
		for _, h := range homes {
			name := t.name + "-" + h.host
			if w.workloads[name], err = newWorkload(name, namespace(t.name, h.host), h); err != nil {
				return w, err
			}
		}
	}
	return w, nil
}

// certify makes the certificates of all.
func (w *world) certify() error {
	a, err := newAuthority(w.dir)
	if err != nil {
		return err
	}
	for _, h := range hosts {
		err = errors.Join(err, a.daemon(hostname(h.name), h.at.Addr()))
	}
	soon := time.Now().Add(time.Hour)
	return errors.Join(err,
		a.client("operator", operator, soon), a.client("auditor", auditor, soon),
		a.client("yesterday", operator, time.Now().Add(-time.Hour)))
}

// close takes down what there is, even where it was told to stop.
func (w *world) close() (err error) {
	for _, l := range w.workloads {
		if l != nil {
			err = errors.Join(err, l.close())
		}
	}
	var all sync.WaitGroup
	failed := make(chan error, len(w.daemons))
	for name, d := range w.daemons {
		all.Go(func() {
			if err := d.close(); err != nil {
				failed <- fmt.Errorf("host %s: %w", name, err)
			}
		})
	}
	all.Wait()
	close(failed)
	for e := range failed {
		err = errors.Join(err, e)
	}
	if w.shell != nil && w.shell.at != nil {
		err = errors.Join(err, w.shell.at.Close())
	}
	if w.underlay != nil {
		err = errors.Join(err, w.underlay.Close())
	}
	if w.dir != "" {
		err = errors.Join(err, os.RemoveAll(w.dir))
	}
	return err
}
