// SPDX-License-Identifier: Apache-2.0

package ctl

import (
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	v1 "github.com/mizar-go/mizar/examples/api/mizar/dataplane/v1"
)

// hostNouns are the interfaces of the host: those on the underlay, and the workloads'.
func hostNouns() []*noun {
	return []*noun{{
		name: "droplet", plural: "droplets", kind: v1.Kind_KIND_DROPLET,
		short: "the host's interfaces on the underlay",
		key:   []string{"interface"}, keyHelp: "INTERFACE",
		verb: create, example: "transitctl create droplet eth0",
		flags: []flag{
			{name: "mode", path: "mode", usage: "how transit is attached; the library chooses if not given"},
			{name: "address", path: "addresses", usage: "underlay addresses there; the interface's own if not given"},
		},
		columns: append([]column{
			col("INTERFACE", "interface"), told("MODE", "status.mode", "mode"), told("ADDRESSES", "status.addresses", "addresses"), col("MTU", "status.mtu"),
			is("STATE", func(d *v1.Droplet) cell { return condition(d.GetStatus()) }),
		}, wide(col("IFINDEX", "status.ifindex"), col("MAC", "status.mac"), col("WHY", "status.why"))...),
		put: unary((*api).AttachDroplet), remove: unary((*api).DetachDroplet), get: unary((*api).GetDroplet), list: unary((*api).ListDroplets),
	}, {
		name: "local-endpoint", plural: "local-endpoints", aliases: []string{"lep", "leps"}, kind: v1.Kind_KIND_LOCAL_ENDPOINT,
		short: "workloads of this host",
		key:   []string{"vni", "addresses"}, keyHelp: "VNI/ADDRESS", readKey: localKey, showKey: showLocalKey,
		verb: create, makeKey: "VNI/ADDRESS/LENGTH", made: []string{"vni", "addresses"},
		example: `transitctl create endpoint 7/10.0.0.1/24 --netns web
  transitctl create endpoint 7/10.0.0.3/24 --address 2001:db8::3/64 --ovs-bridge br0 --ovs-workload-port vm3`,
		flags: []flag{
			{name: "address", path: "addresses", usage: "more of its addresses, with the prefix lengths of their networks"},
			{name: "allowed", path: "allowed", usage: "prefixes that it may send from beside its addresses"},
			{name: "route", usage: "routes that it gets, PREFIX or PREFIX=VIA; a default route if not given", set: setRoute},
			{name: "no-routes", path: "no_routes", usage: "it gets no routes"},
			{name: "netns", path: "netns", usage: "network namespace that the workload's side goes to"},
			{name: "adopt", path: "adopt", usage: "interface that is there already and becomes the host's side"},
			{name: "bridge", path: "bridge.bridge", usage: "Linux bridge that it is a port of"},
			{name: "ovs-bridge", path: "ovs.bridge", usage: "Open vSwitch bridge that it is a port of"},
			{name: "ovs-tag", path: "ovs.tag", usage: "VLAN that it is an access port of"},
			{name: "ovs-workload-port", path: "ovs.workload_port", usage: "Open vSwitch port that the workload is behind"},
			{name: "interface", path: "interface", usage: "name that the workload sees"},
			{name: "host-interface", path: "host_interface", usage: "name on the host's side"},
			{name: "mac", path: "mac", usage: "of the workload"},
			{name: "mtu", path: "mtu", usage: "of the workload's interface; what the droplets leave if not given"},
			{name: "function", path: "function", usage: "it gets tunnel packets as they came, for a network function"},
			{name: "mode", path: "mode", usage: "how the agent is attached; the library chooses if not given"},
		},
		filters: []flag{{name: "vni", path: "vni", keys: "vpc", usage: "only those of this VPC"}},
		columns: append([]column{
			col("VNI", "vni"), col("ADDRESSES", "addresses"), told("INTERFACE", "status.host_interface", "host_interface"), is("PLACE", place),
			told("MODE", "status.mode", "mode"), told("MTU", "status.mtu", "mtu"),
			is("STATE", func(e *v1.LocalEndpoint) cell { return condition(e.GetStatus()) }),
		}, wide(col("IFINDEX", "status.ifindex"), col("MAC", "status.mac"), col("ALLOWED", "allowed"), col("FUNCTION", "function"))...),
		put: unary((*api).CreateEndpoint), remove: unary((*api).DeleteEndpoint), get: unary((*api).GetLocalEndpoint), list: unary((*api).ListLocalEndpoints),
	}}
}

// condition says whether what is attached is still there.
func condition(s interface {
	proto.Message
	GetGone() bool
	GetPartial() bool
}) cell {
	switch {
	case !s.ProtoReflect().IsValid():
		return cell{"away", yellow} // it was asked for, and comes when it can
	case s.GetGone():
		return cell{"gone", red}
	case s.GetPartial():
		return cell{"partial", yellow}
	}
	return cell{"ok", green}
}

// place is where the workload's side is.
func place(e *v1.LocalEndpoint) cell {
	switch p := e.GetPlace().(type) {
	case *v1.LocalEndpoint_Netns:
		return cell{text: "netns " + p.Netns}
	case *v1.LocalEndpoint_Adopt:
		return cell{text: "adopted " + p.Adopt}
	case *v1.LocalEndpoint_Bridge:
		return cell{text: "bridge " + p.Bridge.GetBridge()}
	case *v1.LocalEndpoint_Ovs:
		s := "ovs " + p.Ovs.GetBridge()
		if p.Ovs.GetTag() != 0 {
			s += " vlan " + strconv.Itoa(int(p.Ovs.GetTag()))
		}
		if p.Ovs.GetWorkloadPort() != "" {
			s += " port " + p.Ovs.GetWorkloadPort()
		}
		return cell{text: s}
	}
	return cell{}
}

func setRoute(m proto.Message, text string) error {
	for one := range strings.SplitSeq(text, ",") {
		destination, via, _ := strings.Cut(one, "=")
		e := m.(*v1.LocalEndpoint)
		e.Routes = append(e.Routes, &v1.WorkloadRoute{Destination: destination, Via: via})
	}
	return nil
}
