// SPDX-License-Identifier: Apache-2.0

// Package netns names a network namespace by a descriptor, and runs functions in it.
//
// A [Handle] owns its descriptor and keeps the namespace alive until Close. Sockets, links and sysctl
// files opened in [Handle.Do] stay in the namespace for as long as they live; goroutines started there do
// not: they run on threads of the process's own namespace.
//
// Entering another namespace takes CAP_SYS_ADMIN; staying in the own one takes nothing. [Handle.Cookie]
// needs kernel 5.14.
package netns
