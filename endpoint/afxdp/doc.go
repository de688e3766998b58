// SPDX-License-Identifier: Apache-2.0

// Package afxdp gives network functions in user space their packets, by AF_XDP sockets.
//
// A function has a veth of its own. [Open] binds a [Socket] to each queue of its end, and attaches a program
// that does nothing but redirect to them: so it works in whatever mode the data-plane's own programs are
// attached. Queues of a NIC can be bound as well, with zero copy where its driver has it.
//
//	n, err := s.Recv(frames)        // a batch of packets, where the kernel has put them
//	err = frames[0].Decode(&tunnel) // their tunnel headers: hosts, network, options
//	err = frames[0].Answer(&tunnel, answer)
//	n, err = s.Send(frames[:n])
//
// None of these allocates or copies a packet, but for the one of what Answer is given. Frames lie in
// memory that socket and kernel share, and go from hand to hand: [Frame] says whose they are when.
//
// What the kernel writes there is not believed. A descriptor counts only for memory of the socket's that the
// kernel had, once; others are counted and passed over. A function that is slow or dead loses its packets,
// which [Stats] counts, and holds up nobody: the program drops what no socket takes.
//
// Sockets wait by the runtime's poller: a goroutine in Recv takes no thread, deadlines work as those of
// package net do, and [Port.Close] wakes all. The program goes with the Port; with Config.Pin it stays,
// so that packets are dropped and counted, and do not get to the stack, also while no function runs.
//
// XDP sees checksums as they are in memory: whoever makes the veth turns off tx-checksum-ip-generic at the
// other end, or packets of the same host come with checksums that are not finished.
//
// Kernel 6.1 is the oldest that is supported, packets of several buffers take 6.6. It takes CAP_NET_RAW,
// CAP_NET_ADMIN and CAP_BPF, CAP_SYS_ADMIN for another network namespace, and CAP_IPC_LOCK or a large enough
// RLIMIT_MEMLOCK.
package afxdp
