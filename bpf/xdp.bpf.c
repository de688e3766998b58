// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//go:build ignore

/*
 * Transit and agent for XDP. Wherever one of these is attached, its tcx twin is too, behind it: it takes
 * what XDP passes because only the kernel can go on with it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <linux/types.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "lib/ctx_xdp.h"

#include "lib/agent.h"
#include "lib/transit.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("xdp.frags")
int transit(struct xdp_md *ctx)
{
	struct packet *p = new_packet(ctx);
	int act = CTX_DROP;
	enum reason r;

	if (!p)
		return CTX_DROP;
	r = transit_any(ctx, p, &act);
	return finish(ctx, p, r, HOOK_TRANSIT_XDP, act);
}

SEC("xdp.frags")
int agent(struct xdp_md *ctx)
{
	struct packet *p = new_packet(ctx);
	int act = CTX_DROP;
	enum reason r;

	if (!p)
		return CTX_DROP;
	r = agent_any(ctx, p, &act);
	return finish(ctx, p, r, HOOK_AGENT_XDP, act);
}

/* Where functions come back to what they were called from. Reached by their tail calls alone. */
SEC("xdp.frags")
int transit_resume(struct xdp_md *ctx)
{
	struct packet *p = same_packet();
	int act = CTX_DROP;
	enum reason r;

	if (!p)
		return CTX_DROP;
	r = transit_again(ctx, p, &act);
	return p->stage == STAGE_DROP ? CTX_DROP : finish(ctx, p, r, HOOK_TRANSIT_XDP, act);
}

SEC("xdp.frags")
int agent_resume(struct xdp_md *ctx)
{
	struct packet *p = same_packet();
	int act = CTX_DROP;
	enum reason r;

	if (!p)
		return CTX_DROP;
	r = agent_again(ctx, p, &act);
	return finish(ctx, p, r, HOOK_AGENT_XDP, act);
}
