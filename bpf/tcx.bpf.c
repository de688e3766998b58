// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//go:build ignore

/* Transit and agent for tcx, and for clsact where the kernel has no tcx (before 6.6). */
#include <stdbool.h>
#include <stddef.h>
#include <linux/types.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "lib/ctx_skb.h"

#include "lib/agent.h"
#include "lib/transit.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Behind XDP, what it passed as not ours was counted there. */
static __always_inline bool counted(const ctx_t *ctx, const struct packet *p, enum reason r)
{
	return r == REASON_PASS && behind_xdp(p, ctx_ifindex(ctx));
}

SEC("tc")
int transit(struct __sk_buff *ctx)
{
	struct packet *p = ctx_mend(ctx) ? new_packet(ctx) : NULL;
	int act = CTX_DROP;
	enum reason r;

	if (!p)
		return CTX_DROP;
	if (!take_handoff(ctx, p, &act, &r))
		r = transit_any(ctx, p, &act);
	if (counted(ctx, p, r))
		return act;
	return finish(ctx, p, r, HOOK_TRANSIT_TCX, act);
}

SEC("tc")
int agent(struct __sk_buff *ctx)
{
	struct packet *p = ctx_mend(ctx) ? new_packet(ctx) : NULL;
	int act = CTX_DROP;
	enum reason r;

	if (!p)
		return CTX_DROP;
	if (!take_handoff(ctx, p, &act, &r))
		r = agent_any(ctx, p, &act);
	return finish(ctx, p, r, HOOK_AGENT_TCX, act);
}

/* Where functions come back to what they were called from. Reached by their tail calls alone. */
SEC("tc")
int transit_resume(struct __sk_buff *ctx)
{
	struct packet *p = same_packet();
	int act = CTX_DROP;
	enum reason r;

	if (!p)
		return CTX_DROP;
	r = transit_again(ctx, p, &act);
	return p->stage == STAGE_DROP ? CTX_DROP : finish(ctx, p, r, HOOK_TRANSIT_TCX, act);
}

SEC("tc")
int agent_resume(struct __sk_buff *ctx)
{
	struct packet *p = same_packet();
	int act = CTX_DROP;
	enum reason r;

	if (!p)
		return CTX_DROP;
	r = agent_again(ctx, p, &act);
	return finish(ctx, p, r, HOOK_AGENT_TCX, act);
}
