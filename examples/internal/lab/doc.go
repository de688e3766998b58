// SPDX-License-Identifier: Apache-2.0

// Package lab is what the examples stand on: hosts in network namespaces of their own, plugged into one
// switch, and traffic between namespaces, all of it made from Go.
//
// A [Namespace] lives on a descriptor, and its interfaces go with it: what is left undone by a crash, the
// kernel undoes. Only one made by [NewNamed] outlives the process, by its name. It takes root (CAP_SYS_ADMIN, CAP_NET_ADMIN and
// CAP_NET_RAW) and the kernel's veth and bridge.
package lab
