// SPDX-License-Identifier: Apache-2.0

// Quickstart runs the data-plane between four hosts, each a network namespace on one switch: A and B have
// endpoints, C is the bouncer, D the divider. Two VPCs have the same addresses; one has two networks.
//
//	sudo go run ./examples/quickstart
//
// First in native XDP, then in tcx, it sends ping, UDP and TCP between endpoints on one host, across hosts
// and across networks, and prints which way the packets took, by the hosts' own counters. It exits with 1
// if anything is not as it should be, and leaves nothing behind, on Ctrl-C neither.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/mizar-go/mizar/droplet"
	"golang.org/x/sys/unix"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	err := run(ctx, os.Stdout, newProgress(os.Stderr))
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

var errPrivilege = errors.New("it makes network namespaces and loads eBPF programs: run it as root")

func run(ctx context.Context, out io.Writer, p *progress) error {
	defer p.done()
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
		if err := try(ctx, m.name, m.mode, out, p); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	_, err := fmt.Fprintln(out, "All as it should be.")
	return err
}

// try builds everything in one mode, has the traffic flow, prints what it did, and takes everything down.
func try(ctx context.Context, name string, mode droplet.Mode, out io.Writer, p *progress) (err error) {
	p.in(name)
	f, err := build(ctx, mode, p)
	defer func() {
		p.step("clean up")
		err = errors.Join(err, f.close())
	}()
	if err != nil {
		return err
	}
	blue, err := f.listen("blue")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, blue.close()) }()
	rows, err := f.measure(ctx, p)
	if err != nil {
		return err
	}
	p.step("the other VPC")
	first, err := f.checkApart(ctx, blue)
	if err != nil {
		return err
	}
	p.done()
	return report(out, name, rows, first)
}
