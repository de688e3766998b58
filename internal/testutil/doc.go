// SPDX-License-Identifier: Apache-2.0

// Package testutil is what tests on the real kernel need: network namespaces, a bpffs, interfaces, ping
// and echo from Go, and a check that nothing is left behind.
//
// All that is made is taken away when the test ends; what cannot be made fails the test. Helpers are
// called from the test's own goroutine. They take root ([Root] skips saying what is lacking), and no
// tools: netlink and sockets only.
package testutil
