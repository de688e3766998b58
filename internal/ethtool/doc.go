// SPDX-License-Identifier: Apache-2.0

// Package ethtool reads and sets the offload features of a network device, by the kernel's own names
// (those of ethtool -k: tx-checksum-ip-generic, rx-gro), and names its driver.
//
// Every call opens a socket in the calling thread's network namespace and closes it again. Reading takes
// no capability, setting CAP_NET_ADMIN.
package ethtool
