// SPDX-License-Identifier: Apache-2.0

// Package metrics shows a data-plane and the daemon that serves it to Prometheus.
//
// [New] makes one registry of its own, with what the programs count, how full the tables are, what the RPCs take,
// and the usual of Go and of the process. [Metrics.Handler] is for a server that is there already;
// [Metrics.Serve] is one, that tells whether the daemon is healthy, too. Neither asks who it is that looks: who
// may not know of interfaces and VPCs must not reach the listener, which belongs on a loopback or management
// address.
//
// How many series there are is bounded, and nobody from outside can make new ones: endpoints and VPCs beyond the
// bounds of [Config] are summed up as "other", the reasons of functions are as many as fit into their table, and
// RPCs that are not of the API are one. Endpoints that live elsewhere are not looked at.
//
// Counters of an endpoint go when it goes. Those of its VPC do not fall then, as Prometheus would take it for a
// restart, and count anew what is left.
package metrics
