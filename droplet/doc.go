// SPDX-License-Identifier: Apache-2.0

// Package droplet makes interfaces of the host droplets: places where tunnel packets of the substrate
// network come in and leave. It chooses how transit is attached, sets what has to be true around it, and
// puts all back.
//
// A [Manager] keeps nothing that matters in memory. What it did stands in the tables and in pinned links,
// so that traffic flows with no process running, and another process with the same tables lists and
// detaches what this one attached, also after a kill -9. A Manager has no Close: tables, programs and the
// namespace stay the caller's.
//
// Attach reads an interface's addresses and its MTU once. After a change there, detach and attach again.
//
// It takes CAP_NET_ADMIN and CAP_BPF, and CAP_SYS_ADMIN for another network namespace than the process's
// own. Native and generic XDP need kernel 5.9, managed neighbours 5.16. Before 6.6 a filter of clsact
// stands in for tcx; before 6.3 whether a driver has native XDP shows only by trying.
package droplet
