// SPDX-License-Identifier: Apache-2.0

// Package plumb sets up the host around endpoints, by netlink: bridges, routes, addresses, and ports by which an
// endpoint is at a Linux bridge or at one of Open vSwitch.
//
// What a [Plumber] made outlives it, and is known again by marks that the kernel keeps with it, also after a
// kill -9 and without a file. Each has the name of the instance, or a number of it, as several daemons share a
// host:
//
//   - a bridge, and both ends of a port: the interface's alias, transitd:INSTANCE:ROLE, and until that is set,
//     a MAC that is made of instance, role and name;
//   - an interface that became a port of a bridge: an alternative name, transitd.INSTANCE.BRIDGE.IFINDEX, as its
//     alias is its maker's;
//   - a route: the protocol number (rtm_protocol);
//   - an address: the same number (IFA_PROTO, Linux 5.18).
//
// What has no such mark is somebody else's, and is neither changed nor removed.
//
// Each Add says what it did, makes a change in as few steps as it takes, and takes them back where one fails;
// each Check says what Add would do. The lists are for comparing with what is wanted.
//
// It takes CAP_NET_ADMIN; CAP_SYS_ADMIN where [Options.NetNS] is another namespace; and a writable
// /proc/sys/net, by which alone IPv6 is turned off on a port (a systemd unit must not have
// ProtectKernelTunables).
package plumb
