// SPDX-License-Identifier: Apache-2.0

package plumb

import "github.com/vishvananda/netlink"

// planQuiet keeps a bridge from learning what is behind a port, and from carrying packets between two such
// ports: all agents answer with one MAC, and a frame for it has to get to the one that takes it. The others
// drop it.
func (p *Plumber) planQuiet(to *plan, t Port, end netlink.Link, there bool) error {
	learning, isolated := true, false
	if there {
		info, err := whole(func() ([]netlink.Protinfo, error) {
			info, err := p.netlink.LinkGetProtinfo(end)
			return []netlink.Protinfo{info}, err
		})
		if err != nil {
			return err
		}
		learning, isolated = info[0].Learning, info[0].Isolated
	}
	set := func(f func(netlink.Link, bool) error, on bool) func() error {
		return p.on(t.end(), func(l netlink.Link) error { return f(l, on) })
	}
	// Where the port comes to the bridge only now, taking that back takes these back.
	if learning {
		to.then("no learning", set(p.netlink.LinkSetLearning, false), back(there, set(p.netlink.LinkSetLearning, true)))
	}
	if !isolated {
		to.then("isolate", set(p.netlink.LinkSetIsolated, true), back(there, set(p.netlink.LinkSetIsolated, false)))
	}
	return nil
}

func back(there bool, f func() error) func() error {
	if there {
		return f
	}
	return nil
}
