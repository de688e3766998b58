// SPDX-License-Identifier: Apache-2.0

package plumb

import (
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// planWhole has only whole packets get to a datapath in user space, which has them from a packet socket: with
// their checksums, and not longer than the MTU. Without transmit offloads the kernel finishes packets before
// they leave the host's side. And the other end, which the library makes poll, puts no TCP segments together
// where a packet may not become longer than a byte. A port that moves to where the kernel forwards has all of that
// again; GRO comes last then, and first otherwise, so that it tells whether there is something left to do.
func (p *Plumber) planWhole(to *plan, t Port, at place, end netlink.Link, there bool) error {
	if at.userspace {
		p.planGRO(to, t, end, leastGRO, there)
		for _, o := range []offload{segmentation, checksums} {
			if err := p.planOffload(to, t, o, 0, there); err != nil {
				return err
			}
		}
		return nil
	}
	if !there || end.Attrs().GROMaxSize != leastGRO {
		return nil
	}
	for _, o := range []offload{checksums, segmentation} { // which takes the other
		if err := p.planOffload(to, t, o, 1, there); err != nil {
			return err
		}
	}
	p.planGRO(to, t, end, kernelGRO, there)
	return nil
}

const (
	leastGRO  = 1
	kernelGRO = 65536 // what the kernel begins with
)

// offload is one of the host's side.
type offload struct {
	name     string
	get, set uint32
}

var (
	segmentation = offload{"segmentation", unix.ETHTOOL_GTSO, unix.ETHTOOL_STSO}
	checksums    = offload{"checksums", unix.ETHTOOL_GTXCSUM, unix.ETHTOOL_STXCSUM}
)

func (p *Plumber) planOffload(to *plan, t Port, o offload, want uint32, there bool) error {
	if there {
		var now uint32
		if err := p.in(func() (err error) {
			now, err = feature(t.HostInterface, o.get, 0)
			return err
		}); err != nil {
			return err
		}
		if now == want {
			return nil
		}
	}
	set := func(on uint32) func() error {
		return func() error {
			return p.in(func() error {
				_, err := feature(t.HostInterface, o.set, on)
				return err
			})
		}
	}
	to.then(o.name, set(want), set(1-want))
	return nil
}

func (p *Plumber) planGRO(to *plan, t Port, end netlink.Link, want uint32, there bool) {
	now := end.Attrs().GROMaxSize
	if now == want {
		return
	}
	set := func(size uint32) func() error {
		return p.on(t.end(), func(l netlink.Link) error {
			if err := p.netlink.LinkSetGROMaxSize(l, int(size)); err != nil {
				return err
			}
			// Linux before 6.3 has one for both versions of IP, and does not look at this.
			return p.netlink.LinkSetGROIPv4MaxSize(l, int(size))
		})
	}
	to.then("GRO", set(want), back(there, set(now)))
}
