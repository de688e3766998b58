// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//go:build ignore

/* For tests alone: a function that tells what it was told, and says what it is to say. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "../../bpf/function.h"

struct saw {
	__u64 count;
	__u64 order; /* how many functions of this stage came before */
	struct mizar_packet at;
	__u32 host_of_source; /* the last word of the source's host, by `endpoints` */
	__u32 agent_mtu;      /* of the interface that the packet goes to, by `agents` */
	__u32 network_kind;   /* of the destination's, by `networks` */
	__u32 vpc_set;        /* dividers, by `vpcs` */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct saw);
} probed SEC(".maps");

const volatile __u32 says;  /* the verdict */
const volatile __u32 mark;  /* added to the byte at `where` */
const volatile __u32 where; /* from the inner IP header on; 0: nothing is changed */
const volatile __u32 grows; /* changes the packet's length: that is not allowed */

MIZAR_DROP_REASON(probe);

MIZAR_FUNCTION
{
	__u32 zero = 0;
	struct saw *p = bpf_map_lookup_elem(&probed, &zero);
	struct address source = at->source, destination = at->destination;
	const struct endpoint *ep;
	const struct network *n;
	const struct agent *a;
	const struct vpc *v;
	__u32 vni = at->vni;
	__u8 byte;

	if (!p)
		return MIZAR_DROP;
	__sync_fetch_and_add(&p->count, 1);
	p->order = at->room[0]++;
	p->at = *at;
	ep = mizar_endpoint(at, &source);
	p->host_of_source = ep ? ep->host.w[3] : 0;
	a = mizar_agent(at, at->to);
	p->agent_mtu = a ? a->mtu : 0;
	n = mizar_network(at, &destination);
	p->network_kind = n ? n->kind : 0;
	v = bpf_map_lookup_elem(&vpcs, &vni);
	p->vpc_set = v ? v->set : 0;
	if (where && !mizar_load(at->l3 + where, &byte, 1)) {
		byte += mark;
		mizar_store(at->l3 + where, &byte, 1);
	}
	if (grows && mizar_xdp)
		bpf_xdp_adjust_head(ctx, -4);
	if (grows && !mizar_xdp)
		bpf_skb_change_tail(ctx, at->length + 4, 0);
	return says == MIZAR_DROP ? mizar_drop(at, mizar_reason_probe) : (int)says;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
