// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"

	"github.com/mizar-go/mizar/endpoint"
	pb "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// namespaces is where clients' names of network namespaces are looked up. Nothing else of the file system is theirs.
const namespaces = "/run/netns"

func toLocal(e *pb.LocalEndpoint) (endpoint.Config, error) {
	var r reader
	r.vni("vni", e.Vni)
	c := endpoint.Config{
		VNI: e.Vni, Interface: e.Interface, HostInterface: e.HostInterface, MAC: r.mac("mac", &e.Mac), MTU: int(e.Mtu),
		Function: e.Function, Mode: r.mode("mode", e.Mode, false), Cookie: e.Cookie,
	}
	if e.Mtu > 65535 {
		r.fail(wrong("mtu", "%d bytes are more than 65535", e.Mtu))
	}
	if len(e.Addresses) == 0 {
		r.fail(wrong("addresses", "an endpoint has one at least"))
	}
	for i := range e.Addresses {
		c.Addrs = append(c.Addrs, r.interfacePrefix(fmt.Sprintf("addresses[%d]", i), &e.Addresses[i]))
	}
	for i := range e.Allowed {
		c.Allowed = append(c.Allowed, r.masked(fmt.Sprintf("allowed[%d]", i), &e.Allowed[i]))
	}
	slices.SortFunc(c.Allowed, netip.Prefix.Compare)
	for i := 1; i < len(c.Allowed); i++ {
		if c.Allowed[i] == c.Allowed[i-1] {
			r.fail(wrong("allowed", "%s is there twice", c.Allowed[i]))
		}
	}
	if allowed := texts(c.Allowed); !slices.Equal(allowed, e.Allowed) {
		e.Allowed = allowed
	}
	if e.Interface != "" {
		r.ifname("interface", e.Interface)
	}
	if e.HostInterface != "" {
		r.ifname("host_interface", e.HostInterface)
	}
	r.routes(e, &c)
	r.place(e, &c)
	return c, r.err
}

func (r *reader) routes(e *pb.LocalEndpoint, c *endpoint.Config) {
	for i, route := range e.Routes {
		f := fmt.Sprintf("routes[%d]", i)
		if route == nil {
			r.fail(wrong(f, "it is not given"))
			continue
		}
		c.Routes = append(c.Routes, endpoint.Route{Dst: r.masked(f+".destination", &route.Destination), Via: r.optional(f+".via", &route.Via)})
	}
	if e.NoRoutes {
		if len(e.Routes) > 0 {
			r.fail(wrong("no_routes", "there are routes"))
		}
		c.Routes = []endpoint.Route{}
	}
}

// place says where the workload's side goes.
func (r *reader) place(e *pb.LocalEndpoint, c *endpoint.Config) {
	adopted := ""
	switch p := e.Place.(type) {
	case *pb.LocalEndpoint_Netns:
		r.file("netns", p.Netns)
		c.NetNS = endpoint.Path(filepath.Join(namespaces, p.Netns))
	case *pb.LocalEndpoint_Adopt:
		r.ifname("adopt", p.Adopt)
		c.Adopt, c.HostInterface, adopted = true, p.Adopt, "adopt"
		if e.HostInterface != "" && e.HostInterface != p.Adopt {
			r.fail(wrong("host_interface", "it is what is adopted"))
		}
	case *pb.LocalEndpoint_Bridge:
		r.ifname("bridge.bridge", p.Bridge.GetBridge())
		c.Adopt, adopted = true, "bridge"
	case *pb.LocalEndpoint_Ovs:
		r.ifname("ovs.bridge", p.Ovs.GetBridge())
		if p.Ovs.GetTag() > 4094 {
			r.fail(wrong("ovs.tag", "%d is no VLAN: 1 to 4094", p.Ovs.GetTag()))
		}
		if w := p.Ovs.GetWorkloadPort(); w != "" {
			r.ifname("ovs.workload_port", w)
		}
		c.Adopt, adopted = true, "ovs"
	}
	if adopted == "" {
		return
	}
	if len(e.Routes) > 0 || e.NoRoutes {
		r.fail(wrong("routes", "the workload's interface is its maker's, and so are its routes"))
	}
	c.Interface, c.Routes = "", nil
	if adopted == "bridge" || adopted == "ovs" {
		if e.Mac == "" {
			r.fail(wrong("mac", "of a workload behind a bridge it has to be given"))
		}
	}
}

// fromLocal knows the addresses' networks no more, and nothing of the workload's namespace.
func fromLocal(e *endpoint.Endpoint) *pb.LocalEndpoint {
	m := &pb.LocalEndpoint{
		Vni: e.VNI, HostInterface: e.HostInterface, Mac: e.MAC.String(), Mtu: uint32(e.MTU), Function: e.Function,
		Mode: fromMode(e.Mode), Cookie: e.Cookie,
		Status: &pb.LocalEndpointStatus{
			HostInterface: e.HostInterface, Ifindex: uint32(e.Ifindex), Mac: e.MAC.String(), Mtu: uint32(e.MTU),
			Mode: fromMode(e.Mode), Adopted: e.Adopted, Gone: e.Gone, Partial: e.Partial,
		},
	}
	for _, a := range e.Addrs {
		m.Addresses = append(m.Addresses, netip.PrefixFrom(a, a.BitLen()).String())
	}
	slices.SortFunc(e.Allowed, netip.Prefix.Compare)
	m.Allowed = texts(e.Allowed)
	if e.Adopted {
		m.Place = &pb.LocalEndpoint_Adopt{Adopt: e.HostInterface}
		m.HostInterface = ""
	}
	return m
}
