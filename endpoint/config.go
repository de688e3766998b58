// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"net"
	"net/netip"

	"github.com/mizar-go/mizar/bpf"
)

// Config says what endpoint to make.
type Config struct {
	VNI uint32 // of the VPC, 1 to 2^24-1

	// Addrs are its addresses, at least one, each with the prefix length of its network. Which other
	// addresses the workload takes to be on its link follows from that; all of them are reached the same
	// way.
	Addrs []netip.Prefix

	// Allowed are prefixes that it may send from beside its addresses, for a router or a NAT. What is sent
	// *to* them comes here by a network whose Via is one of Addrs. Nil: none.
	Allowed []netip.Prefix

	// Routes that the workload gets. Nil: a default route, on link, for each family of Addrs; but none where
	// the workload's namespace is the data-plane's own, which has routes of its own. Empty: none. Not to be
	// set with Adopt.
	Routes []Route

	// NetNS is the workload's namespace; zero: the data-plane's own. With Adopt it is where the other end of
	// a veth lives: zero means that it is looked for.
	NetNS NetNS

	// Interface is the name that the workload sees; zero: eth0. Not used with Adopt.
	Interface string

	// HostInterface is the name on the host's side, at most 15 bytes; zero: one is made up, mz and a number.
	// With Adopt it is the interface to take.
	HostInterface string

	// Adopt takes an interface that is there: a VM's tap, a veth that a CNI plug-in has made. Its addresses,
	// routes, state and MTU are its maker's. Changed, and put back by Delete, are offloads at the other end
	// of a veth, and what the agent takes to be attached.
	Adopt bool

	// MAC of the workload. Zero: made up, 02:…; with Adopt that of a veth's other end, and an error for all
	// else.
	MAC net.HardwareAddr

	// MTU of the workload's interface in bytes, and the size of the largest packet that is delivered to it.
	// Zero: what the smallest droplet leaves, see [Overhead], as if it were one of 1500 bytes with IPv6 where
	// there is none yet; with Adopt that of the interface. A larger one than the droplets leave is fine:
	// endpoints of one host use it whole, and who sends too much elsewhere is told so by ICMP.
	MTU int

	// Function makes it an endpoint that gets tunnel packets as they came, outer headers and options included,
	// for a network function: behind its interface may be an AF_XDP socket (package endpoint/afxdp), a packet
	// socket, or a program. What another endpoint of this host sends it comes in a tunnel packet, too, from and
	// to 192.0.0.8, the address that stands for no host. What it sends are frames like any other endpoint's.
	// Its MTU is that of the tunnel packets; zero: what the largest droplet takes.
	Function bool

	Mode   Mode   // how the agent is attached; zero: TCX
	Cookie uint64 // the caller's, kept with the endpoint and its rows
}

// Route is one of a workload's routes.
type Route struct {
	Dst netip.Prefix // masked, of a family that Addrs has
	Via netip.Addr   // next hop of the same family, taken to be on link; zero: Dst is on link itself
}

// virtualMAC is what the agent answers every ARP and neighbour request with; lib/address.h has it too.
var virtualMAC = [6]byte{0xfe, 0x6d, 0x69, 0x7a, 0x61, 0x72}

// Validate tells what [Manager.Create] would refuse a config for without a look at the host, and is nil where that is
// nothing: [maps.ErrInvalid], [ErrMTU], [bpf.ErrNotSupported].
func (c Config) Validate() error {
	_, err := c.validate()
	return err
}

// validate says what is wrong with a config by itself, and fills in what needs no look at the host. It
// does not change what the caller's slices hold.
func (c Config) validate() (Config, error) {
	if c.VNI == 0 || c.VNI >= 1<<24 {
		return c, invalid("VNI %d: not 1 to %d", c.VNI, 1<<24-1)
	}
	if err := validateAddrs(c.Addrs); err != nil {
		return c, err
	}
	if err := validateAllowed(c.Allowed); err != nil {
		return c, err
	}
	if err := c.validateRoutes(); err != nil {
		return c, err
	}
	if err := c.validateNames(); err != nil {
		return c, err
	}
	if err := validateMAC(c.MAC); err != nil {
		return c, err
	}
	if c.MTU != 0 {
		if err := c.fits(c.MTU); err != nil {
			return c, err
		}
	}
	switch c.Mode {
	case Auto:
		c.Mode = TCX
	case Native, Generic, TCX:
	case bpf.Offload:
		return c, notSupported("mode offload: an endpoint has no device to offload to")
	default:
		return c, invalid("mode %d: not known", uint8(c.Mode))
	}
	return c, nil
}

func validateAddrs(addrs []netip.Prefix) error {
	if len(addrs) == 0 {
		return invalid("no address")
	}
	seen := make(map[netip.Addr]bool, len(addrs))
	for _, p := range addrs {
		switch a := p.Addr(); {
		case !p.IsValid() || !unicast(a):
			return invalid("address %s: not unicast, or not one that leaves a host", p)
		case p.Bits() == 0:
			return invalid("address %s: the prefix length of its network is missing", p)
		case seen[a]:
			return invalid("address %s: twice", a)
		default:
			seen[a] = true
		}
	}
	return nil
}

// unicast tells whether an endpoint may have the address: whether the programs carry packets for it.
func unicast(a netip.Addr) bool {
	if !a.IsValid() || a.Is4In6() || a.Zone() != "" || a.IsUnspecified() || a.IsLoopback() || a.IsMulticast() {
		return false
	}
	if a.Is4() {
		first := a.As4()[0]
		return first != 0 && first < 240
	}
	return !a.IsLinkLocalUnicast()
}

func validateAllowed(allowed []netip.Prefix) error {
	seen := make(map[netip.Prefix]bool, len(allowed))
	for _, p := range allowed {
		switch {
		case !p.IsValid() || p.Addr().Is4In6() || p.Addr().IsMulticast():
			return invalid("allowed prefix %s: not of unicast addresses", p)
		case p != p.Masked():
			return invalid("allowed prefix %s: bits set beyond its length", p)
		case seen[p]:
			return invalid("allowed prefix %s: twice", p)
		}
		seen[p] = true
	}
	return nil
}

func (c *Config) validateRoutes() error {
	if c.Adopt && c.Routes != nil {
		return invalid("routes: an adopted interface's are its maker's")
	}
	seen := make(map[netip.Prefix]bool, len(c.Routes))
	for _, r := range c.Routes {
		switch d := r.Dst; {
		case !d.IsValid() || d.Addr().Is4In6() || d.Addr().IsMulticast():
			return invalid("route to %s: not to unicast addresses", d)
		case d != d.Masked():
			return invalid("route to %s: bits set beyond its length", d)
		case !c.has(d.Addr().Is4()):
			return invalid("route to %s: no address of that family", d)
		case seen[d]:
			return invalid("route to %s: twice", d)
		case r.Via.IsValid() && (!unicast(r.Via) || r.Via.Is4() != d.Addr().Is4()):
			return invalid("route to %s: no next hop: %s", d, r.Via)
		}
		seen[r.Dst] = true
	}
	return nil
}

func (c *Config) validateNames() error {
	if c.Interface == "" {
		c.Interface = "eth0"
	}
	if !interfaceName(c.Interface) {
		return invalid("interface %q: no name for one", c.Interface)
	}
	if c.HostInterface == "" {
		if c.Adopt {
			return invalid("no interface to adopt")
		}
		return nil
	}
	if !interfaceName(c.HostInterface) {
		return invalid("host interface %q: no name for one", c.HostInterface)
	}
	return nil
}

// interfaceName tells whether the kernel takes a name, as it is: % would make a pattern of it.
func interfaceName(s string) bool {
	if s == "" || len(s) > 15 || s == "." || s == ".." || s == "all" || s == "default" {
		return false
	}
	for _, b := range []byte(s) {
		if b <= ' ' || b >= 0x7f || b == '/' || b == ':' || b == '%' {
			return false
		}
	}
	return true
}

func validateMAC(mac net.HardwareAddr) error {
	switch {
	case mac == nil:
		return nil
	case len(mac) != 6:
		return invalid("MAC %q: not of 6 bytes", mac.String())
	case mac[0]&1 != 0 || [6]byte(mac) == [6]byte{}:
		return invalid("MAC %s: not unicast", mac)
	case [6]byte(mac) == virtualMAC:
		return invalid("MAC %s: that is what all others seem to have", mac)
	}
	return nil
}

// has tells whether there is an address of the family.
func (c *Config) has(v4 bool) bool {
	for _, p := range c.Addrs {
		if p.Addr().Is4() == v4 {
			return true
		}
	}
	return false
}

// addrs are the addresses alone.
func (c *Config) addrs() []netip.Addr {
	all := make([]netip.Addr, 0, len(c.Addrs))
	for _, p := range c.Addrs {
		all = append(all, p.Addr())
	}
	return all
}

// routes are those to set: the given ones, or the defaults.
func (c *Config) routes(ownNS bool) []Route {
	if c.Routes != nil || ownNS {
		return c.Routes
	}
	var all []Route
	if c.has(true) {
		all = append(all, Route{Dst: netip.PrefixFrom(netip.IPv4Unspecified(), 0)})
	}
	if c.has(false) {
		all = append(all, Route{Dst: netip.PrefixFrom(netip.IPv6Unspecified(), 0)})
	}
	return all
}
