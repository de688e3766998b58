// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//go:build ignore

/* A stateless firewall, for stage deliver: who may send to which ports. What no rule allows is dropped. */
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "../../bpf/function.h"

#define PORTS_MAX 16

/* Without the family ::/0 would have all of IPv4 in it. */
struct source {
	__u32 prefixlen; /* of all that follows, bits */
	__u32 vni;
	__u32 v6;
	struct address addr;
};

struct port {
	__u16 number; /* 0: of a protocol without ports */
	__u8 proto;
	__u8 pad;
};

struct rule {
	__u32 any; /* all protocols, and fragments */
	__u32 count;
	struct port ports[PORTS_MAX];
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_RDONLY_PROG);
	__type(key, struct source);
	__type(value, struct rule);
} rules SEC(".maps");

MIZAR_DROP_REASON(closed);
MIZAR_DROP_REASON(fragment);

static __always_inline bool allows(const struct rule *r, const struct mizar_packet *at)
{
	for (__u32 i = 0; i < PORTS_MAX; i++) {
		if (i >= r->count)
			break;
		if (r->ports[i].proto == at->proto && r->ports[i].number == bpf_ntohs(at->dport))
			return true;
	}
	return false;
}

MIZAR_FUNCTION
{
	struct source key = {
		.prefixlen = 8 * (sizeof(key) - sizeof(key.prefixlen)),
		.vni = at->vni,
		.v6 = !!(at->flags & MIZAR_V6),
		.addr = at->source,
	};
	const struct rule *r = bpf_map_lookup_elem(&rules, &key);

	if (!r)
		return mizar_drop(at, mizar_reason_closed);
	if (r->any)
		return MIZAR_NEXT;
	/* Later ones have no ports, and without those the first is of no use. */
	if (at->flags & (MIZAR_FIRST | MIZAR_LATER))
		return mizar_drop(at, mizar_reason_fragment);
	return allows(r, at) ? MIZAR_NEXT : mizar_drop(at, mizar_reason_closed);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
