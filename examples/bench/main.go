// SPDX-License-Identifier: Apache-2.0

// Bench measures the data-plane beside what a user would pick instead: a bare veth pair, veths through two
// bridges, and the kernel's VXLAN with a bridge.
//
//	sudo go run ./examples/bench                  # five minutes; draws docs/performance.svg
//	sudo go run ./examples/bench -h               # shorter, less, and other forms of output
//
// All contenders stand side by side in network namespaces of their own, and take turns in every round, so
// that a machine that slows down does so for all of them. Ratios are taken within a round; what is printed
// are medians over the rounds. Traffic is made here, on threads that are pinned to CPUs, and counted where
// it is received. Nothing is left behind, on Ctrl-C neither. docs/performance.md has what came of it.
//
// It takes root, two CPUs that have nothing else to do, and Linux 5.18 or newer.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	o, err := parse(os.Args[1:], os.Stderr)
	if err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return
		}
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM, unix.SIGHUP)
	signal.Ignore(unix.SIGPIPE) // `bench 2>&1 | head` has to take down what it built, too
	err = run(ctx, o, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

var errPrivilege = errors.New("it makes network namespaces and loads eBPF programs: run it as root")

// run measures, and reports in every form that is asked for. Progress goes to a place of its own.
func run(ctx context.Context, o options, out, progress io.Writer) error {
	if os.Geteuid() != 0 {
		return errPrivilege
	}
	if err := o.writable(); err != nil {
		return err
	}
	began := time.Now()
	r, err := measureAll(ctx, o, func(format string, args ...any) {
		fmt.Fprintf(progress, "%6s  %s\n", time.Since(began).Round(time.Second), fmt.Sprintf(format, args...))
	})
	if err != nil {
		return err
	}
	reached := r.judge()
	// One form that cannot be written is no reason to lose the others: they took minutes.
	var errs []error
	if o.json != "-" && o.svg != "-" {
		errs = append(errs, r.print(out, reached))
	}
	if o.json != "" {
		errs = append(errs, writeTo(o.json, out, func(w io.Writer) error { return r.encode(w, reached) }))
	}
	if o.svg != "" {
		errs = append(errs, writeTo(o.svg, out, r.draw))
	}
	return errors.Join(errs...)
}

// writeTo opens a file for write, or takes out where its name is -.
func writeTo(name string, out io.Writer, write func(io.Writer) error) (err error) {
	if name == "-" {
		return write(out)
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}
