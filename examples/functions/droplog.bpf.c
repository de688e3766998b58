// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//go:build ignore

/* A log of flows that lose packets, for stage drop: who, to whom, why, how many. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "../../bpf/function.h"

/* Addresses are zero where the packet could not be parsed so far. */
struct flow {
	struct address source;
	struct address destination;
	__u32 vni;
	__u32 reason;
};

struct lost {
	__u64 packets;
	__u64 bytes;
};

/* Full, it forgets who lost nothing for the longest. The library's counters have every drop. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct flow);
	__type(value, struct lost);
} drops SEC(".maps");

MIZAR_FUNCTION
{
	struct flow key = {
		.source = at->source,
		.destination = at->destination,
		.vni = at->vni,
		.reason = at->reason,
	};
	struct lost first = {}, *l = bpf_map_lookup_elem(&drops, &key);

	if (!l) {
		/* Another CPU may be first. */
		bpf_map_update_elem(&drops, &key, &first, BPF_NOEXIST);
		l = bpf_map_lookup_elem(&drops, &key);
	}
	if (l) {
		__sync_fetch_and_add(&l->packets, 1);
		__sync_fetch_and_add(&l->bytes, at->length);
	}
	return MIZAR_NEXT;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
