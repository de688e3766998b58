// SPDX-License-Identifier: Apache-2.0

// Package mizar is the root of a library for Mizar data-planes: multi-tenant overlay networks whose
// packets are forwarded by eBPF programs in the kernel, and that a control plane written in Go links in.
// There is no daemon in the way. The package itself holds only this text; package dataplane is where most
// programs begin.
//
// # A start
//
// One host of a VPC, with an endpoint here and one elsewhere:
//
//	func run(ctx context.Context) error {
//		underlay := netip.MustParsePrefix("192.0.2.0/24")
//		bouncer, other := netip.MustParseAddr("192.0.2.9"), netip.MustParseAddr("192.0.2.2")
//
//		dp, err := dataplane.Open(ctx, dataplane.Config{Name: "blue"}) // makes it, or adopts what is pinned
//		if err != nil {
//			return err
//		}
//		defer dp.Close() // traffic keeps flowing
//
//		_, attach := dp.Droplet.Attach(ctx, droplet.Config{Interface: "eth0"})
//		_, create := dp.Endpoint.Create(ctx, endpoint.Config{
//			VNI: 7, Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")}, NetNS: endpoint.Path("/run/netns/web"),
//		})
//		return errors.Join(attach, create,
//			dp.Peer.Add(ctx, maps.Peer{Prefix: underlay}),
//			dp.VPC.Add(ctx, maps.VPC{VNI: 7}),
//			dp.Network.Add(ctx, maps.Network{VNI: 7, Prefix: netip.MustParsePrefix("10.0.0.0/24"), Bouncers: []netip.Addr{bouncer}}),
//			dp.Endpoint.Add(ctx, maps.Endpoint{VNI: 7, Addr: netip.MustParseAddr("10.0.0.2"), Host: other}),
//		)
//	}
//
// # Packages
//
//	dataplane  instances: open, adopt, inspect, destroy; a manager for each kind of thing
//	droplet    interfaces on the substrate network, with transit attached
//	endpoint   interfaces of workloads, with an agent attached; below it
//	           endpoint/afxdp, sockets for network functions in user space
//	maps       the tables: netip in, wire bytes out
//	bpf        the compiled programs and their loading; function.h, to write network functions with
//	encap      Geneve headers in pure Go
//
// Each serves by itself: who wants to drive forwarding on their own loads the programs with bpf, fills the
// tables with maps, and attaches with cilium/ebpf's links.
//
// # Lifetimes
//
// What is attached, made or added lives in the kernel: it carries traffic with no process running, and
// until it is removed or the host restarts. Close lets go of descriptors and changes nothing else. Detach,
// Delete, Remove and Destroy take things away, and put the settings of interfaces back. A program that was
// killed opens the same instance again and goes on; it has nothing to repeat.
//
// # Kernels
//
//	feature                                   from   before that
//	bpf_link for XDP, ring buffer, batches     5.9   -
//	cookies of network namespaces              5.14  -
//	managed neighbours                         5.16  -
//	XDP for packets of several buffers         5.18  MTU of XDP interfaces up to about 3500
//	oldest kernel that is tested               6.1
//	inner IPv6 after an IPv4 tunnel in tcx     6.3   by way of a redirect
//	tcx                                        6.6   a filter of clsact
//
// It takes CAP_BPF and CAP_NET_ADMIN, CAP_PERFMON to load programs, and CAP_SYS_ADMIN to mount bpffs, to enter
// network namespaces and to look programs up by number.
//
// The substrate is trusted as far as [maps.Peer] prefixes go: whoever can send with the address of an
// allowed peer can send into every VPC. Encrypt below, where that is not enough.
//
// [maps.Peer]: https://pkg.go.dev/github.com/mizar-go/mizar/maps#Peer
package mizar
