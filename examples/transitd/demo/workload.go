// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/mizar-go/mizar/examples/internal/lab"
)

// device is a workload's interface, in its own namespace.
const device = "eth0"

// workload is what sits behind an endpoint: a namespace, which has a name as the API takes it, and servers in it.
type workload struct {
	*lab.Namespace
	home
	path    string
	servers map[netip.Addr]*lab.Server
}

func newWorkload(name, path string, h home) (*workload, error) {
	ns, err := lab.NewNamed(path)
	if err != nil {
		return nil, err
	}
	ns.Name = name
	return &workload{Namespace: ns, home: h, path: path, servers: make(map[netip.Addr]*lab.Server)}, nil
}

// serve starts servers on the workload's addresses, once its endpoint is there.
func (w *workload) serve() error {
	for _, addr := range []netip.Addr{w.v4, w.v6} {
		s, err := w.Serve(addr)
		if err != nil {
			return err
		}
		w.servers[addr] = s
	}
	return nil
}

// close stops what runs in the namespace. The endpoint itself goes with its data-plane.
func (w *workload) close() (err error) {
	for _, s := range w.servers {
		err = errors.Join(err, s.Close())
	}
	return errors.Join(err, w.Close(), lab.RemoveNamed(w.path))
}

// talk pings another workload, and sends it a stream that it has to have got to the byte.
func (w *workload) talk(ctx context.Context, to *workload, s *shell) error {
	for _, addr := range []netip.Addr{to.v4, to.v6} {
		trips, err := w.Ping(ctx, addr, 3)
		if err != nil {
			return err
		}
		rate, err := w.TCP(ctx, to.servers[addr], 100*time.Millisecond)
		if err != nil {
			return err
		}
		s.say("%-6s → %-6s  %-11s  ping %6.3f ms  TCP %5.2f Gbit/s", w.Name, to.Name, addr,
			float64(lab.Median(trips))/float64(time.Millisecond), rate.Bits/1e9)
	}
	return nil
}

// forge sends from an address that the workload has, and its endpoint has not.
func (w *workload) forge(from, to netip.Addr) error {
	server := netip.AddrPortFrom(to, 9)
	conn, err := w.dial(netip.AddrPortFrom(from, 0), server)
	if err != nil {
		return fmt.Errorf("send as %s: %w", from, err)
	}
	_, err = conn.Write([]byte("I am another"))
	return errors.Join(err, conn.Close())
}
