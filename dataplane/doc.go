// SPDX-License-Identifier: Apache-2.0

// Package dataplane is the library as most programs use it: one [Dataplane], with a manager for each kind
// of thing in it.
//
//	dp, err := dataplane.Open(ctx, dataplane.Config{Name: "blue"}) // makes it, or adopts what is pinned
//	defer dp.Close()                                               // traffic keeps flowing
//
//	err = dp.Peer.Add(ctx, maps.Peer{Prefix: underlay})
//	d, err := dp.Droplet.Attach(ctx, droplet.Config{Interface: "eth0"})
//	err = dp.VPC.Add(ctx, maps.VPC{VNI: 7, Dividers: hosts})
//	err = dp.Network.Add(ctx, maps.Network{VNI: 7, Prefix: prefix, Bouncers: hosts})
//	ep, err := dp.Endpoint.Create(ctx, endpoint.Config{VNI: 7, Addrs: addrs, NetNS: ns})
//	err = dp.Endpoint.Add(ctx, maps.Endpoint{VNI: 7, Addr: addr, Host: host}) // one that lives elsewhere
//
// # Lifetimes
//
// An instance is what is pinned under a name, below /sys/fs/bpf/mizar, and what is attached. It carries
// traffic with no process running, lives until [Dataplane.Destroy] or the next boot, and belongs to one
// network namespace. Several with different names may share it, on different interfaces.
//
// A [Dataplane] is the right to change an instance: one at a time has it, and loses it by
// [Dataplane.Close], or by its death. Everything is in the kernel, so nothing has to be told again: the next
// Open finds the same droplets, endpoints and rows, and [Dataplane.Report] lists them. [Inspect] reads an
// instance at any time.
//
// # Network functions
//
// A function is an eBPF program that an orchestrator writes, with bpf/function.h, and puts into the way of
// packets: [Functions] loads it, [Stages] says whose packets run through it, where and in which order. Functions
// and chains are part of the instance. One in user space has an endpoint of its own, with Function set in its
// config, and a socket of package endpoint/afxdp behind it.
//
// # Kernel and capabilities
//
// Kernel 6.1 is the oldest that is tested. Open takes CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON to load and
// attach programs, and CAP_SYS_ADMIN to mount bpffs, to enter other network namespaces and to look programs
// up by number; without them it fails with [ErrPermission]. [Inspect] takes CAP_BPF and the right to read
// root's files.
package dataplane
