/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Functions in the pipeline. At a stage that has any the program goes on to the first by a tail call, each of
 * them to the next, and the last to `resume` of where it began, which goes on with the pipeline. Chains of the
 * host, of the VPC and of the endpoint follow each other; which they are is read once, at the first.
 */
#ifndef MIZAR_STAGE_H
#define MIZAR_STAGE_H

#include "inner.h"
#include "known.h"
#include "nexthop.h"

#if CTX_XDP
#define STAGES_MAP stages_xdp
#else
#define STAGES_MAP stages_tcx
#endif

/* The slots that chains come back by: SLOT_ENDS or SLOT_OTHER_ENDS. */
const volatile __u32 ends = SLOT_ENDS;

static __always_inline struct mizar_packet *function_view(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&function_packet, &zero);
}

static __always_inline void describe_ports(ctx_t *ctx, const struct packet *p,
					   struct mizar_packet *at)
{
	__be16 ports[2];

	at->sport = 0;
	at->dport = 0;
	if (!p->l4 || p->fragment || p->l4 + sizeof(ports) > p->end)
		return;
	if (p->proto != IPPROTO_TCP && p->proto != IPPROTO_UDP && p->proto != IPPROTO_SCTP &&
	    p->proto != IPPROTO_UDPLITE)
		return;
	if (load_word(ctx, p->l4, (__u32 *)ports))
		return;
	at->sport = ports[0];
	at->dport = ports[1];
}

static __always_inline __u32 describe_flags(const struct packet *p)
{
	return (p->geneve ? MIZAR_TUNNEL : 0) | (p->v6 ? MIZAR_V6 : 0) |
	       (p->tagged ? MIZAR_TAGGED : 0) | (p->fragment == FRAGMENT_FIRST ? MIZAR_FIRST : 0) |
	       (p->fragment == FRAGMENT_LATER ? MIZAR_LATER : 0) | (CTX_XDP ? MIZAR_XDP : 0);
}

static __always_inline struct chain find_chain(const struct packet *p, __u32 vni, __u32 ifindex,
					       __u32 stage)
{
	struct known_chains *k = find_chains(p, vni, ifindex);
	struct chain none = {};

	/* Compared here, not where it was before: the verifier of 6.1 forgets that of what was on the stack since. */
	barrier_var(stage);
	return k && stage < STAGES ? k->row.stage[stage] : none;
}

/* The slot where the next chain begins, which the view goes on with. 0: there is none. */
static __always_inline __u32 next_chain(struct packet *p, struct mizar_packet *at)
{
	for (int i = 0; i < 3; i++) {
		struct chain c = p->chain[i];

		if (!c.count)
			continue;
		p->chain[i].count = 0;
		at->slot = c.first;
		at->left = c.count - 1;
		return c.first;
	}
	return 0;
}

/*
 * What functions are told, and the chains that the packet runs through: into the view and into p->chain. The
 * slot of the first; 0: none has functions for this packet.
 */
__noinline int prepare_stage(ctx_t *ctx, __u32 stage, __u32 agent)
{
	__u32 zero = 0, own;
	struct chain none = {};
	struct packet *p = bpf_map_lookup_elem(&scratch, &zero);
	struct mizar_packet *at = function_view();

	if (!p || !at || stage >= STAGES)
		return 0;
	own = p->to ? p->to : p->from;
	p->chain[0] = find_chain(p, 0, 0, stage);
	p->chain[1] = p->vni ? find_chain(p, p->vni, 0, stage) : none;
	p->chain[2] = own ? find_chain(p, p->vni, own, stage) : none;
	if (!(p->chain[0].count | p->chain[1].count | p->chain[2].count))
		return 0;
	p->stage = stage;
	at->abi = MIZAR_FUNCTION_ABI;
	at->stage = stage;
	at->flags = describe_flags(p);
	at->vni = p->vni;
	at->length = ctx_len(ctx);
	p->staged = at->length;
	at->from = p->from;
	at->to = p->to;
	at->reason = p->why;
	at->geneve = p->geneve;
	at->eth = p->eth;
	at->l3 = p->l3;
	at->l4 = p->l4;
	at->ethertype = p->ethertype;
	at->proto = p->proto;
	describe_ports(ctx, p, at);
	at->source = p->source;
	at->destination = p->destination;
	at->outer_source = p->outer_source;
	__builtin_memset(at->room, 0, sizeof(at->room));
	at->end = ends + !!agent;
	return next_chain(p, at);
}

/* For a stage that may have functions: away, if this packet has any there. Else it comes back. */
static __always_inline enum reason run_stage(ctx_t *ctx, const struct settings *s, enum stage stage)
{
	int slot;

	if (!(s->stages & (1 << stage)))
		return REASON_NONE;
	slot = prepare_stage(ctx, stage, stage == STAGE_SEND);
	if (!slot)
		return REASON_NONE;
	bpf_tail_call(ctx, &STAGES_MAP, slot);
	return DROP_NO_FUNCTION;
}

/* What the last function of a chain said. NONE: on with the pipeline, after other chains of this stage. */
static __always_inline enum reason end_stage(ctx_t *ctx, struct packet *p, int *act)
{
	struct mizar_packet *at = function_view();
	__u32 reason;
	int slot;

	if (!at)
		return DROP_FUNCTION;
	if (p->stage == STAGE_DROP) {
		slot = at->verdict == MIZAR_NEXT ? next_chain(p, at) : 0;
		if (slot)
			bpf_tail_call(ctx, &STAGES_MAP, slot);
		return REASON_NONE;
	}
	if (ctx_len(ctx) != p->staged)
		return DROP_FUNCTION_LENGTH;
	switch (at->verdict) {
	case MIZAR_NEXT:
		slot = next_chain(p, at);
		if (!slot)
			return REASON_NONE;
		bpf_tail_call(ctx, &STAGES_MAP, slot);
		return DROP_NO_FUNCTION;
	case MIZAR_DELIVER:
		return REASON_NONE;
	case MIZAR_PASS:
		if (p->from)
			return DROP_FUNCTION_PASS;
		return pass_on(ctx, act);
	default:
		reason = at->reason;
		if (reason < REASON_FUNCTION_FIRST || reason >= REASON_MAX)
			return DROP_FUNCTION;
		return reason;
	}
}

#endif
