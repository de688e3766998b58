// SPDX-License-Identifier: Apache-2.0

package plumb

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
)

// role is what an interface that we made is for.
type role string

const (
	roleBridge role = "bridge"
	roleHost   role = "host" // of a port: the end that the library adopts
	rolePort   role = "port" // of a port: the end at the bridge
	roleOVS    role = "ovs"  // the same, at a bridge of Open vSwitch
)

// alias is the mark of an interface that we made.
func (p *Plumber) alias(r role) string { return fmt.Sprintf("transitd:%s:%s", p.Instance, r) }

// mac is that of an interface that we make. The kernel takes no alias for one that is not there yet, so until
// it has one, this tells that it is ours.
func (p *Plumber) mac(r role, name string) net.HardwareAddr {
	h := sha256.New()
	h.Write(p.seed)
	fmt.Fprintf(h, " %s %s", r, name)
	mac := net.HardwareAddr(h.Sum(nil)[:6])
	// Locally administered, unicast, and high: a bridge without a MAC of its own takes the lowest of its ports',
	// and had better not change it.
	mac[0] = 0xfe
	return mac
}

// ours tells whether we made an interface, for one of the roles.
func (p *Plumber) ours(l netlink.Link, roles ...role) bool {
	a := l.Attrs()
	for _, r := range roles {
		if a.Alias == p.alias(r) || a.Alias == "" && bytes.Equal(a.HardwareAddr, p.mac(r, a.Name)) {
			return true
		}
	}
	return false
}

// mark gives an interface its alias, which it may have lost, or never got.
func (p *Plumber) mark(to *plan, name string, now string, r role) {
	if now == p.alias(r) {
		return
	}
	to.then("mark "+name,
		p.on(name, func(l netlink.Link) error { return p.netlink.LinkSetAlias(l, p.alias(r)) }),
		p.on(name, func(l netlink.Link) error { return p.netlink.LinkSetAlias(l, now) }))
}

// portMark is the alternative name of an interface that we made a port of a bridge.
func (p *Plumber) portMark(bridge string, ifindex int) string {
	return fmt.Sprintf("transitd.%s.%s.%d", p.Instance, bridge, ifindex)
}
