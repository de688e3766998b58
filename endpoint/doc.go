// SPDX-License-Identifier: Apache-2.0

// Package endpoint gives a workload its place in a VPC: the veth pair into its network namespace, or an
// interface that is there already, the agent program on the host's side, and the rows by which others
// reach it. It also keeps the rows of endpoints that live on other hosts.
//
// [Manager.Create] makes all of it or nothing, and [Manager.Delete] undoes exactly that, also from another
// process: what has to be known for it is in the tables. Nothing here depends on the [Manager] being
// alive; it holds no descriptor of its own, and the tables, programs and namespace that it was given stay
// the caller's to close. One Manager at a time may write; package dataplane sees to that with a lock.
//
// A workload may do what it likes inside its namespace. Whatever it changes there, the agent lets it send
// from its own addresses only, and nothing that it sends is seen by the host's stack: the host's side of
// the pair goes up after the agent is attached, and down before it is detached.
//
// Kernel 6.1 is the oldest that is tested; below 6.6 clsact takes the place of tcx. It takes CAP_NET_ADMIN,
// CAP_BPF, and CAP_SYS_ADMIN to enter other namespaces; adopting a veth whose namespace is not named also
// CAP_SYS_PTRACE, to look for it.
package endpoint
