// SPDX-License-Identifier: Apache-2.0

package bpf

import "github.com/cilium/ebpf"

// Grace returns when every program that ran at the time of the call has ended: what the tables did not
// refer to any more, nobody reads now.
//
// User space has no call for that, but an update of a map of maps waits so before it returns, so that
// "all programs that could be running use the new map value": maybe_wait_bpf_programs() in
// kernel/bpf/syscall.c, which calls synchronize_rcu(), since 5.0 (commit 1ae80cf31938). It takes about
// 15 ms here. The maps are made for it, and cost 20 µs: nothing has to be kept open.
func Grace() error {
	spec := &ebpf.MapSpec{Name: "grace", Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1}
	inner, err := ebpf.NewMap(spec)
	if err != nil {
		return explain("wait for programs", err)
	}
	defer inner.Close()
	outer, err := ebpf.NewMap(&ebpf.MapSpec{Name: "grace_outer", Type: ebpf.ArrayOfMaps, KeySize: 4,
		ValueSize: 4, MaxEntries: 1, InnerMap: spec})
	if err != nil {
		return explain("wait for programs", err)
	}
	defer outer.Close()
	return explain("wait for programs", outer.Put(uint32(0), inner))
}
