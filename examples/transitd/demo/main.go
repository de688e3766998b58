// SPDX-License-Identifier: Apache-2.0

// Demo shows the transit daemon and its command line on three hosts, each a network namespace on one switch: a and b
// have workloads of two tenants with the same addresses, c is the bouncer.
//
//	sudo go run ./examples/transitd/demo
//
// It starts a transitd on each host, and configures them from a fourth with `transitctl apply -f`, over mutual TLS.
// Then the workloads talk; a forged packet, an auditor who writes and an expired certificate are refused; a daemon is
// killed under traffic. Each command is printed as an operator would type it, with what it answers. It exits with 1 if
// anything is not as it should be, and leaves nothing behind, on Ctrl-C neither.
//
// transitd and transitctl are built first, by the go that is in the PATH, in the directory of this repository; -bin
// takes them from elsewhere.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

func main() {
	bin := flag.String("bin", "", "directory with transitd and transitctl (default: they are built)")
	flag.Parse()
	// Also when the terminal goes, or who reads: daemons do not end by themselves.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM, unix.SIGHUP, unix.SIGPIPE)
	err := run(ctx, os.Stdout, *bin)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

var errPrivilege = errors.New("it makes network namespaces and loads eBPF programs: run it as root")

func run(ctx context.Context, out io.Writer, bin string) (err error) {
	if os.Geteuid() != 0 {
		return errPrivilege
	}
	w, err := build(ctx, out, bin)
	defer func() {
		err = errors.Join(err, w.close())
		if err == nil {
			_, err = fmt.Fprintln(out, "\nAll as it should be, and all is gone.")
		}
	}()
	if err != nil {
		return err
	}
	for _, s := range []struct {
		title string
		show  func(context.Context, *world) error
	}{
		{"Two commands a host", showApply},
		{"The same again, and a change that is only planned", showPlan},
		{"Workloads talk", showTalk},
		{"What is there", showLook},
		{"A workload that says it is another", showSpoof},
		{"Who may not", showRefused},
		{"A daemon dies", showKill},
		{"All daemons end", showEnd},
		{"And all that they made", showDestroy},
	} {
		w.shell.title(s.title)
		if err := s.show(ctx, w); err != nil {
			return fmt.Errorf("%s: %w", s.title, err)
		}
	}
	return nil
}
