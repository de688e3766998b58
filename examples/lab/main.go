// SPDX-License-Identifier: Apache-2.0

// Lab builds a network from a file and leaves it running, for any tool to be used in.
//
//	sudo go run ./examples/lab up examples/lab/two-hosts.yaml
//	sudo ip netns exec two-hosts-web ping 10.0.1.2
//	sudo go run ./examples/lab show two-hosts -o svg > two-hosts.svg
//	sudo go run ./examples/lab down two-hosts
//
// A lab is called what its file is. Every host, every endpoint and the underlay is a network namespace of its
// own, NAME-HOST, NAME-ENDPOINT and NAME-underlay; each host runs a data-plane, NAME-HOST. The sample files
// say how a file reads. Nothing is built from one with a mistake, and an up that fails or is interrupted takes
// down what it has built.
//
// Tunnels over IPv6 have an outer UDP checksum of zero (RFC 6935), which tshark takes with
// -o udp.ignore_ipv6_zero_checksum:TRUE. It is to run on a host's uplink, as in ip netns exec NAME-HOST. Of a host
// in XDP it sees there only what that leaves to the kernel, and all on to-HOST in NAME-underlay.
//
// No name server answers in a lab: what asks one for a name, as python3 -m http.server does before it listens, waits
// for that in vain. What down leaves is an empty /run/netns, a mount, as ip netns does.
//
// What iperf3 -u loses is, as a rule, what its receiver's socket had no room for: -w 8M gives it more, and
// RcvbufErrors in the endpoint's /proc/net/snmp counts it. What the data-plane loses, show has among the
// counters as DROP_ and the reason; what it did not lose is in DELIVER.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

const usage = `usage:
  lab up [-name NAME] FILE               build what FILE describes; NAME is its own without .yaml
  lab show NAME [-o text|json|svg]       tables and counters of every host
  lab down NAME                          take it down
`

var (
	errUsage     = errors.New("usage")
	errPrivilege = errors.New("it makes network namespaces and loads eBPF programs: run it as root")
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM, unix.SIGHUP)
	signal.Ignore(unix.SIGPIPE) // `lab up | head` has to take down what it built, too
	err := run(ctx, os.Stdout, os.Args[1:])
	stop()
	switch {
	case errors.Is(err, errUsage):
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, args []string) error {
	if len(args) == 0 {
		return errUsage
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	name, form := new(string), new(string)
	switch args[0] {
	case "up":
		name = flags.String("name", "", "")
	case "show":
		form = flags.String("o", "text", "")
	case "down":
	default:
		return errUsage
	}
	what, err := one(flags, args[1:])
	switch {
	case err != nil:
		return err
	case os.Geteuid() != 0:
		return errPrivilege
	case args[0] == "up":
		return upFile(ctx, out, what, *name)
	case args[0] == "show":
		return show(ctx, out, what, *form)
	}
	return down(ctx, out, what)
}

// one is the one argument, before or behind the flags.
func one(flags *flag.FlagSet, args []string) (string, error) {
	if len(args) > 1 && !strings.HasPrefix(args[0], "-") {
		args = append(slices.Clone(args[1:]), args[0])
	}
	if flags.Parse(args) != nil || flags.NArg() != 1 {
		return "", errUsage
	}
	return flags.Arg(0), nil
}

func upFile(ctx context.Context, out io.Writer, file, name string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if name == "" {
		name = nameOf(file)
	}
	return up(ctx, out, file, name, string(text))
}

// list has things in a row.
func list[T fmt.Stringer](all []T) string {
	words := make([]string, len(all))
	for i, a := range all {
		words[i] = a.String()
	}
	return strings.Join(words, ", ")
}
