// SPDX-License-Identifier: Apache-2.0

// Package attach puts programs onto interfaces so that they stay there when the process ends, and takes
// them off again.
//
// XDP and tcx programs hang on a bpf_link that is pinned in a directory on bpffs, one file for each hook
// and interface. Before kernel 6.6 there is no tcx: a filter of clsact takes its place, the pin is the
// program's, and tells only that there is a filter. Every call acts on the interfaces of the calling
// thread's network namespace (netns.Handle.Do), keeps no state and leaves no descriptor open. Calls for one
// interface have to come one after the other.
//
// It takes CAP_BPF and CAP_NET_ADMIN. With CAP_SYS_ADMIN it also sees, on a tcx hook, that another
// data-plane is there already. XDP links need kernel 5.9.
package attach
