/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where a packet to another host leaves, and how. */
#ifndef MIZAR_NEXTHOP_H
#define MIZAR_NEXTHOP_H

#include "address.h"
#include "packet.h"

#define PATH_MTU_FLOOR 1280 /* IPv6's; nobody on the underlay can talk us below it */

/* What the host's routes say of the way to `host`. The lookup starts at a device of ours that forwards,
 * so that the host's own devices need not. */
static __always_inline enum reason next_hop(ctx_t *ctx, const struct settings *s,
					    const struct address *host, struct hop *h)
{
	const struct droplet *d;
	const struct path *path;
	__u64 now;
	__u32 ifindex;
	long err;

	__builtin_memset(h, 0, sizeof(*h));
	h->v6 = !address_is_v4(host);
	h->fib.ifindex = s->fib_ifindex;
	h->fib.l4_protocol = IPPROTO_UDP;
	h->fib.tot_len = 1; /* makes the kernel tell the route's MTU */
	if (h->v6) {
		h->fib.family = AF_INET6;
		__builtin_memcpy(h->fib.ipv6_dst, host->bytes, 16);
	} else {
		h->fib.family = AF_INET;
		h->fib.ipv4_dst = host->w[3];
	}
	err = bpf_fib_lookup(ctx, &h->fib, sizeof(h->fib), 0);
	if (err != BPF_FIB_LKUP_RET_SUCCESS && err != BPF_FIB_LKUP_RET_NO_NEIGH)
		return DROP_NO_ROUTE;
	ifindex = h->fib.ifindex;
	d = bpf_map_lookup_elem(&droplets, &ifindex);
	if (!d)
		return DROP_NO_SOURCE;
	h->source = h->v6 ? d->source6 : d->source4;
	if (address_is_zero(&h->source))
		return DROP_NO_SOURCE;
	h->traffic = d->traffic;
	h->mtu = d->mtu;
	__builtin_memcpy(h->mac, d->mac, 6);
	if (err == BPF_FIB_LKUP_RET_SUCCESS && h->fib.mtu_result > 1 && h->fib.mtu_result < h->mtu)
		h->mtu = h->fib.mtu_result;
	now = bpf_ktime_get_coarse_ns();
	path = bpf_map_lookup_elem(&paths, host);
	if (path && path->mtu && now < path->expires && path->mtu < h->mtu)
		h->mtu = path->mtu;
	if (!CTX_XDP)
		return REASON_NONE;
	/* XDP would use a neighbour's entry for as long as the kernel keeps it, and nobody would ask
	 * whether it is still true. So one packet now and then goes by the kernel. */
	h->refresh = err != BPF_FIB_LKUP_RET_SUCCESS || !path ||
		     now - path->refreshed > s->refresh_ns;
	if (h->refresh) {
		struct path fresh = { .refreshed = now };

		if (path) {
			fresh.mtu = path->mtu;
			fresh.expires = path->expires;
		}
		bpf_map_update_elem(&paths, host, &fresh, BPF_ANY);
	}
	if (!(d->flags & DROPLET_XDP))
		h->refresh = true; /* its driver may not take frames from XDP */
	return REASON_NONE;
}

/* What XDP leaves to tcx on the same device, in the metadata area, which nobody on the wire can write. */
struct handoff {
	__u32 magic;
	__u32 ifindex;
};

#define HANDOFF_MAGIC 0x6d697a61

#if CTX_XDP

static __always_inline enum reason send_out(ctx_t *ctx, const struct hop *h, int *act)
{
	struct ethhdr *eth = AT(ctx, 0, struct ethhdr);
	struct handoff *meta;

	if (!eth)
		return DROP_MODIFY;
	if (h->refresh) {
		if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*meta)))
			return DROP_NO_NEIGHBOUR;
		meta = (void *)(long)ctx->data_meta;
		if ((void *)(meta + 1) > ctx_data(ctx))
			return DROP_NO_NEIGHBOUR;
		meta->magic = HANDOFF_MAGIC;
		meta->ifindex = h->fib.ifindex;
		/* To the stack's eyes it has to be a packet for this host. */
		*act = XDP_PASS;
		return REASON_NONE;
	}
	__builtin_memcpy(eth->h_dest, h->fib.dmac, 6);
	__builtin_memcpy(eth->h_source, h->fib.smac, 6);
	*act = h->fib.ifindex == ctx_ifindex(ctx) ? XDP_TX : bpf_redirect(h->fib.ifindex, 0);
	return REASON_NONE;
}

#else

static __always_inline enum reason send_out(ctx_t *ctx, const struct hop *h, int *act)
{
	struct bpf_redir_neigh nh = { .nh_family = h->fib.family };

	/* The kernel resolves, refreshes and writes the MACs. */
	__builtin_memcpy(nh.ipv6_nh, h->fib.ipv6_dst, 16);
	*act = bpf_redirect_neigh(h->fib.ifindex, &nh, sizeof(nh), 0);
	return *act == TC_ACT_REDIRECT ? REASON_NONE : DROP_NO_NEIGHBOUR;
}

/* A packet that XDP left to us: it is encapsulated, and lacks a neighbour. */
static __always_inline bool take_handoff(ctx_t *ctx, int *act)
{
	struct handoff *meta = (void *)(long)ctx->data_meta;

	if ((void *)(meta + 1) > ctx_data(ctx) || meta->magic != HANDOFF_MAGIC)
		return false;
	*act = bpf_redirect_neigh(meta->ifindex, NULL, 0, 0);
	return true;
}

#endif

#endif
