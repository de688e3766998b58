// SPDX-License-Identifier: Apache-2.0

package plumb

import (
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// planWhole has only whole packets get to a datapath in user space, which has them from a packet socket: with
// their checksums, and not longer than the MTU. Without transmit offloads the kernel finishes packets before
// they leave the host's side. And the other end, which the library makes poll, puts no TCP segments together
// where a packet may not become longer than a byte.
func (p *Plumber) planWhole(to *plan, t Port, at place, end netlink.Link, there bool) error {
	if !at.userspace {
		return nil
	}
	for _, o := range []struct {
		name     string
		get, set uint32
	}{
		{"segmentation", unix.ETHTOOL_GTSO, unix.ETHTOOL_STSO},
		{"checksums", unix.ETHTOOL_GTXCSUM, unix.ETHTOOL_STXCSUM},
	} {
		if there {
			var on uint32
			if err := p.in(func() (err error) {
				on, err = feature(t.HostInterface, o.get, 0)
				return err
			}); err != nil {
				return err
			}
			if on == 0 {
				continue
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
		to.then(o.name, set(0), set(1))
	}
	if now := end.Attrs().GROMaxSize; now != leastGRO {
		set := func(size int) func() error {
			return p.on(t.end(), func(l netlink.Link) error {
				if err := p.netlink.LinkSetGROMaxSize(l, size); err != nil {
					return err
				}
				// Linux before 6.3 has one for both versions of IP, and does not look at this.
				return p.netlink.LinkSetGROIPv4MaxSize(l, size)
			})
		}
		to.then("GRO", set(leastGRO), back(there, set(int(now))))
	}
	return nil
}

const leastGRO = 1
