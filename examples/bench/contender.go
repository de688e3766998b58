// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/mizar-go/mizar/bpf"
	"github.com/mizar-go/mizar/examples/internal/lab"
)

// contender is a way to connect two workloads.
type contender struct {
	name  string // for flags
	title string
	build func(ctx context.Context, p *path, mtu int) error
}

// Names of contenders that goals speak of.
const (
	onePair = "pair"
	bridges = "bridges"
	vxlan   = "vxlan"
	native  = "native"
	tcx     = "tcx"
	oneHost = "one-host"
)

// contenders are in the order in which they take turns.
func contenders() []contender {
	return []contender{
		{onePair, "one veth pair", buildPair},
		{bridges, "veths, two bridges", buildBridges},
		{vxlan, "kernel VXLAN, bridges", buildVXLAN},
		{native, "mizar, native XDP", buildHosts(bpf.Native)},
		{tcx, "mizar, tcx", buildHosts(bpf.TCX)},
		{oneHost, "mizar, one host (tcx)", buildOneHost},
	}
}

// workloadAddr is the client's, number 0, or the server's, number 1, with every contender.
func workloadAddr(i int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), 24)
}

// hostAddr is that of a host on the underlay.
func hostAddr(i int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}), 24)
}

const (
	workloadPort = "eth0"   // in a workload's namespace
	hostPort     = "port"   // its other end
	uplink       = "uplink" // of a host to the other
	vni          = 7
)

// path is two workloads, and what a contender put between them.
type path struct {
	of             contender
	mtu            int // of the underlay
	client, server *lab.Namespace
	hosts          []*lab.Namespace
	undo           *undo
}

// newPath makes the workloads, and has the contender connect them. Also when it fails, there is something
// to undo.
func newPath(ctx context.Context, u *undo, c contender, mtu int) (_ *path, err error) {
	p := &path{of: c, mtu: mtu, undo: u}
	defer func() {
		if err != nil {
			err = fmt.Errorf("build %s: %w", c.title, err)
		}
	}()
	for _, ns := range []**lab.Namespace{&p.client, &p.server} {
		if *ns, err = p.undo.namespace("workload"); err != nil {
			return nil, err
		}
	}
	return p, c.build(ctx, p, mtu)
}

// addHosts makes two hosts, wired to each other, if they are to be more than switches with addresses.
func (p *path) addHosts(mtu int, addressed bool) (err error) {
	for range 2 {
		h, err := p.undo.namespace("host")
		if err != nil {
			return err
		}
		p.hosts = append(p.hosts, h)
	}
	a, b := p.hosts[0], p.hosts[1]
	if err := a.Wire(uplink, b, uplink, mtu); err != nil {
		return err
	}
	if addressed {
		if err := errors.Join(a.Assign(uplink, hostAddr(0)), b.Assign(uplink, hostAddr(1))); err != nil {
			return err
		}
	}
	return lab.Connect(a, uplink, b, uplink)
}
