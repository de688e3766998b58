// SPDX-License-Identifier: Apache-2.0

// Orchestrator drives the data-plane by itself, without package dataplane: it loads the programs with
// bpf, fills the tables with maps, wires the agent's tail call to transit, and attaches both with
// cilium/ebpf's links. Nothing is pinned, so all of it ends with the process.
//
//	sudo go run ./examples/orchestrator
//
// Two hosts, each a network namespace, have one endpoint of a VPC each, and know where the other's lives.
// It takes kernel 6.6 for tcx.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"time"

	"github.com/mizar-go/mizar/examples/internal/lab"
	"github.com/mizar-go/mizar/maps"
	"golang.org/x/sys/unix"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	err := run(ctx, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "orchestrator:", err)
		os.Exit(1)
	}
}

const vni = 7

func run(ctx context.Context, out io.Writer) (err error) {
	underlay, err := lab.NewSwitch(false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, underlay.Close()) }()
	a, err := newNode(underlay, "a", netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("10.0.0.1/24"))
	defer func() { err = errors.Join(err, a.close()) }()
	if err != nil {
		return err
	}
	b, err := newNode(underlay, "b", netip.MustParsePrefix("192.0.2.2/24"), netip.MustParsePrefix("10.0.0.2/24"))
	defer func() { err = errors.Join(err, b.close()) }()
	if err != nil {
		return err
	}
	if err := errors.Join(a.knows(b), b.knows(a)); err != nil {
		return err
	}
	return talk(ctx, a, b, out)
}

// knows tells a host where the other's endpoint lives.
func (n *node) knows(other *node) error {
	return n.maps.Endpoints.Put(maps.Endpoint{VNI: vni, Addr: other.addr.Addr(), Host: other.Addr})
}

// talk sends a ping and a stream from a's endpoint to b's.
func talk(ctx context.Context, a, b *node, out io.Writer) error {
	trips, err := a.workload.Ping(ctx, b.addr.Addr(), 10)
	if err != nil {
		return err
	}
	server, err := b.workload.Serve(b.addr.Addr())
	if err != nil {
		return err
	}
	defer server.Close()
	tcp, err := a.workload.TCP(ctx, server, time.Second)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "ping %v, TCP %.2f Gbit/s\n", lab.Median(trips), tcp.Bits/1e9)
	for _, n := range []*node{a, b} {
		for c, err := range n.maps.Counters.All() {
			if err != nil {
				return err
			}
			if c.Packets != 0 {
				fmt.Fprintf(out, "host %s: %d × %v\n", n.Name, c.Packets, c.Reason)
			}
		}
	}
	return nil
}
