// SPDX-License-Identifier: Apache-2.0

// Package bpf holds the compiled programs of the data-plane and the tables that they share with user
// space, and loads both into the kernel.
//
// There are two programs, transit and agent, each compiled twice from the same headers: for XDP and for
// tcx; and for each of these four one by which network functions come back to it. [NewTables] makes the tables,
// [LoadPrograms] loads all programs against them,
// [Programs.WireTransit] fills the arrays through which an agent tail-calls transit, and
// [Programs.WireStages] those through which network functions come back. Attaching is the caller's: with
// packages droplet and endpoint, or with cilium/ebpf's links.
//
// [LoadFunction] loads a network function, which is written in C with function.h: that file says how.
//
// A CPU keeps for a moment what it looked up. Package maps has it look again after every change; who writes the
// maps without it writes another number to the first of Epochs, or waits 50 ms. [Grace] then waits for the packets
// that were under way.
//
// What is loaded lives as long as a descriptor, a pin or an attachment holds it: Close only lets go of
// the descriptors. Pin keeps it beyond the process.
//
// Kernel 6.1 is the oldest that is tested. Loading needs CAP_BPF and CAP_NET_ADMIN; on kernels before
// 5.11 and under a tight RLIMIT_MEMLOCK more. The Table types are generated from lib/tables.h: numbers in
// host order unless they are addresses, which are in network order with IPv4 as ::ffff:a.b.c.d.
package bpf
