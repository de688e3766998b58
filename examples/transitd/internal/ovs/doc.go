// SPDX-License-Identifier: Apache-2.0

// Package ovs makes ports of Open vSwitch bridges that are there already, and wires two ports to each other.
//
// Ports are rows of OVSDB, by its Unix socket (RFC 7047). What is ours bears "transitd": INSTANCE among its
// external_ids, and with it what was asked for, so that it is known again after a crash, without a file. Flows
// are OpenFlow, by ovs-ofctl, which is wherever Open vSwitch is; ours bear a cookie of the instance and the
// port. Rows and flows of others are not touched.
//
// Flows live as long as ovs-vswitchd does: after it was started again, [Client.Add] puts them back, and
// [Client.Ports] tells that they are missing. What needs ovs-vswitchd does not wait for one that does not run: it is
// [ErrUnavailable], and nothing changes.
//
// A [Client] connects when it is first used, and again after the connection broke; [Client.Close] lets go of
// it. It takes the right to connect to OVSDB's socket and to the bridges' management sockets, which are
// root's, and no capability.
package ovs
