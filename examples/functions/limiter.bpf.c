// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//go:build ignore

/* A token bucket for each endpoint, for stage send: bytes a second, and a burst. Who has none is not limited. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "../../bpf/function.h"

#define NSEC 1000000000ULL

struct bucket {
	struct bpf_spin_lock lock;
	__u64 rate;   /* bytes a second */
	__u64 burst;  /* bytes */
	__u64 tokens; /* billionths of a byte, so that short waits count in full */
	__u64 last;   /* when they were counted, ns */
};

/*
 * One bucket for all CPUs, under a lock: a share for each would give an endpoint whose flows happen to meet on one
 * CPU a part of its rate only. An endpoint's packets are mostly on one CPU, so nobody waits long.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32); /* interface that the endpoint is behind */
	__type(value, struct bucket);
} buckets SEC(".maps");

MIZAR_DROP_REASON(rate);

static __always_inline bool take(struct bucket *b, __u64 cost, __u64 now)
{
	__u64 missing, since = 0;
	bool enough;

	bpf_spin_lock(&b->lock);
	missing = b->burst * NSEC - b->tokens;
	/* Who got the lock first may have read the clock last. */
	if (now > b->last) {
		since = now - b->last;
		b->last = now;
	}
	if (since > missing / b->rate)
		b->tokens += missing;
	else
		b->tokens += since * b->rate;
	enough = b->tokens >= cost;
	if (enough)
		b->tokens -= cost;
	bpf_spin_unlock(&b->lock);
	return enough;
}

MIZAR_FUNCTION
{
	__u32 from = at->from;
	struct bucket *b = bpf_map_lookup_elem(&buckets, &from);

	if (!b || take(b, at->length * NSEC, bpf_ktime_get_ns()))
		return MIZAR_NEXT;
	return mizar_drop(at, mizar_reason_rate);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
