// SPDX-License-Identifier: Apache-2.0

// Functions shows network functions at work: eBPF programs of your own, in the pipeline of the data-plane. Two
// hosts, each a network namespace, have three endpoints of a VPC between them:
//
//	sudo go run ./examples/functions
//
// A stateless firewall whose rules change under traffic, a rate limiter, a mirror, a log of dropped flows, one chain
// of functions swapped for another while packets run through, and a name server in user space, by AF_XDP. It prints what each did, by what came to
// the endpoints; first in native XDP, then in tcx. It exits with 1 if anything is not as it should be, and leaves
// nothing behind, on Ctrl-C neither.
//
// Each function is a file in C and one in Go that loads and drives it. docs/functions.md says how to write one.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/mizar-go/mizar/dataplane"
	"github.com/mizar-go/mizar/droplet"
	"golang.org/x/sys/unix"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	err := run(ctx, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "functions:", err)
		os.Exit(1)
	}
}

var errPrivilege = errors.New("it makes network namespaces and loads eBPF programs: run it as root")

func run(ctx context.Context, out io.Writer) error {
	if os.Geteuid() != 0 {
		return errPrivilege
	}
	for _, m := range []struct {
		name string
		mode droplet.Mode
	}{
		{"native XDP", droplet.Native},
		{"tcx", droplet.TCX},
	} {
		fmt.Fprintf(out, "%s\n", m.name)
		if err := show(ctx, m.mode, out); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	_, err := fmt.Fprintln(out, "All as it should be.")
	return err
}

// show builds two hosts in one mode, has each function at work, and takes everything down.
func show(ctx context.Context, mode droplet.Mode, out io.Writer) (err error) {
	w, err := build(ctx, mode)
	defer func() { err = errors.Join(err, w.close()) }()
	if err != nil {
		return err
	}
	for _, s := range []struct {
		name string
		show func(context.Context, *world, io.Writer) error
	}{
		{"firewall", showFirewall},
		{"limiter", showLimiter},
		{"mirror", showMirror},
		{"droplog", showDroplog},
		{"swap", showSwap},
		{"dns", showDNS},
	} {
		if err := s.show(ctx, w, out); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	_, err = fmt.Fprintln(out)
	return err
}

// unload takes a function out of its one chain, lets go of it and unloads it.
func unload(ctx context.Context, dp *dataplane.Dataplane, stage dataplane.Stage, scope dataplane.Scope, f *dataplane.Function) error {
	return errors.Join(dp.Stage.Clear(ctx, stage, scope), f.Close(), dp.Function.Remove(ctx, f.Name))
}
