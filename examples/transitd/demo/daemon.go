// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/mizar-go/mizar/dataplane"
	"github.com/mizar-go/mizar/examples/internal/lab"
)

// daemon is a host with a transitd on it.
type daemon struct {
	*lab.Host
	program string
	dir     string
	log     *os.File
	process *process // nil: it does not run
}

func (d *daemon) file(name string) string { return filepath.Join(d.dir, name) }

// run starts the daemon.
func (d *daemon) run() (err error) {
	d.process, err = d.start()
	return err
}

// start starts transitd in the host's namespace. What it logs is added to a file.
func (d *daemon) start(args ...string) (_ *process, err error) {
	if d.log == nil {
		if d.log, err = os.OpenFile(d.file(d.Name+".log"), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600); err != nil {
			return nil, err
		}
	}
	cmd := exec.Command(d.program, append(args, "-config", d.file("transitd-"+d.Name+".yaml"))...)
	cmd.Dir, cmd.Stderr = d.dir, d.log
	return start(d.Namespace, cmd)
}

// await waits until the daemon answers.
func (d *daemon) await(ctx context.Context, s *shell) error {
	for timeout := time.After(time.Minute); ; {
		_, code, err := s.ask(ctx, "--context", d.Name, "version")
		if err != nil {
			return err
		}
		if code == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-d.process.ended:
			return fmt.Errorf("transitd of host %s: %w\n%s", d.Name, d.process.err, d.logged(0))
		case <-timeout:
			return fmt.Errorf("transitd of host %s does not answer\n%s", d.Name, d.logged(0))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// size is how much was logged so far.
func (d *daemon) size() int64 {
	info, err := d.log.Stat()
	if err != nil {
		return 0
	}
	return info.Size()
}

// logged is what was logged since then.
func (d *daemon) logged(since int64) []byte {
	b := make([]byte, max(d.size()-since, 0))
	n, _ := d.log.ReadAt(b, since) // the file is ours: what is there can be read
	return b[:n]
}

// awaitLogged waits for a line that has something in it.
func (d *daemon) awaitLogged(ctx context.Context, since int64, part string) (string, error) {
	for timeout := time.After(5 * time.Second); ; {
		for line := range bytes.Lines(d.logged(since)) {
			if bytes.Contains(line, []byte(part)) {
				return string(line), nil
			}
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-timeout:
			return "", fmt.Errorf("transitd of host %s logged no %q:\n%s", d.Name, part, d.logged(since))
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// close kills the daemon if it runs, and takes its data-plane down, and the host.
func (d *daemon) close() (err error) {
	if d.process != nil {
		err = d.process.kill()
	}
	err = errors.Join(err, d.destroy()) // also of one that was killed, and could not be started again
	if d.log != nil {
		err = errors.Join(err, d.log.Close())
	}
	return errors.Join(err, d.Close())
}

// destroy takes the data-plane down, also one that is half made. A daemon that ends never does: traffic goes on.
func (d *daemon) destroy() error {
	if _, err := os.Stat(filepath.Join(dataplane.DefaultBPFFS, "mizar", instance(d.Name))); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	p, err := d.start("-destroy")
	if err != nil {
		return err
	}
	select {
	case <-p.ended:
		if p.err != nil {
			return fmt.Errorf("transitd -destroy on host %s: %w\n%s", d.Name, p.err, d.logged(0))
		}
		return nil
	case <-time.After(20 * time.Second):
		return errors.Join(fmt.Errorf("transitd -destroy on host %s does not end", d.Name), p.kill())
	}
}
