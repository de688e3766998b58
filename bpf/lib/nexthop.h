/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where a packet to another host leaves, and how. */
#ifndef MIZAR_NEXTHOP_H
#define MIZAR_NEXTHOP_H

#include "address.h"
#include "known.h"
#include "packet.h"

#define PATH_MTU_FLOOR 1280 /* IPv6's; nobody on the underlay can talk us below it */

/* For so long routes and neighbours are not asked again, by no CPU: they are to be followed within a second. */
#define HOP_AGE_NS 100000000ULL

static __always_inline bool is_own(const struct address *a)
{
	return bpf_map_lookup_elem(&addresses, a) != NULL;
}

/* What the host's routes and neighbours say of the way to `host`. The lookup starts at a device of ours
 * that forwards, so that the host's own devices need not. */
static __always_inline enum reason look_up_hop(ctx_t *ctx, struct packet *p,
					       const struct settings *s, const struct address *host,
					       struct hop *h)
{
	struct bpf_fib_lookup *fib = &p->fib;
	const struct droplet *d;
	__u32 mtu;
	long err;

	if (is_own(host))
		return DROP_LOOP;
	__builtin_memset(fib, 0, sizeof(*fib));
	__builtin_memset(h, 0, sizeof(*h));
	h->v6 = !address_is_v4(host);
	fib->ifindex = s->fib_ifindex;
	fib->l4_protocol = IPPROTO_UDP;
	fib->tot_len = 1; /* makes the kernel tell an MTU */
	if (h->v6) {
		fib->family = AF_INET6;
		__builtin_memcpy(fib->ipv6_dst, host->bytes, 16);
	} else {
		fib->family = AF_INET;
		fib->ipv4_dst = host->w[3];
	}
	err = bpf_fib_lookup(ctx, fib, sizeof(*fib), 0);
	if (err != BPF_FIB_LKUP_RET_SUCCESS && err != BPF_FIB_LKUP_RET_NO_NEIGH)
		return DROP_NO_ROUTE;
	h->ifindex = fib->ifindex;
	d = bpf_map_lookup_elem(&droplets, &h->ifindex);
	if (!d)
		return DROP_NO_SOURCE;
	h->source = h->v6 ? d->source6 : d->source4;
	if (address_is_zero(&h->source))
		return DROP_NO_SOURCE;
	h->traffic = d->traffic;
	h->mtu = d->mtu;
	mtu = fib->mtu_result; /* the kernel tells a route's only where it is locked, and what the host itself learned */
	if (err == BPF_FIB_LKUP_RET_SUCCESS && mtu > 1) {
		if (mtu < PATH_MTU_FLOOR)
			mtu = PATH_MTU_FLOOR; /* less would leave no room behind our own headers */
		if (mtu < h->mtu)
			h->mtu = mtu;
	}
	h->via_v6 = fib->family == AF_INET6;
	__builtin_memcpy(h->via.bytes, fib->ipv6_dst, 16);
	__builtin_memcpy(h->dmac, fib->dmac, 6);
	__builtin_memcpy(h->smac, d->mac, 6);
	h->tx = !!(d->flags & DROPLET_TX);
	h->kernel = !(d->flags & DROPLET_XDP); /* its driver may not take frames from XDP */
	p->refresh |= err != BPF_FIB_LKUP_RET_SUCCESS;
	return REASON_NONE;
}

/*
 * The way to p->next, into its place, where this CPU does not know it. XDP would use a neighbour's entry for as
 * long as the kernel keeps it, and nobody would ask whether it is still true. So one packet now and then
 * goes by the kernel.
 */
__noinline int find_way(ctx_t *ctx)
{
	__u32 zero = 0;
	struct packet *p = bpf_map_lookup_elem(&scratch, &zero);
	const struct settings *s = bpf_map_lookup_elem(&settings, &zero);
	__u64 now = bpf_ktime_get_coarse_ns();
	const struct path *known;
	const struct address *host;
	struct known_host *k;
	struct path *path;
	enum reason r;

	if (!p || !s)
		return DROP_NO_ROUTE;
	host = &p->next;
	k = host_place(host);
	if (!k)
		return DROP_NO_ROUTE;
	path = &p->path;
	known = bpf_map_lookup_elem(&paths, host);
	if (known)
		*path = *known;
	if (!known || !address_equal(&path->host, host))
		__builtin_memset(path, 0, sizeof(*path));
	p->refresh = CTX_XDP && (!path->refreshed || now - path->refreshed > s->refresh_ns);
	if (p->refresh || now - path->looked >= HOP_AGE_NS) {
		r = look_up_hop(ctx, p, s, host, &path->hop);
		if (r)
			return r;
		if (p->refresh)
			path->refreshed = now;
		path->looked = p->refresh ? 0 : now;
		path->host = *host;
		bpf_map_update_elem(&paths, host, path, BPF_ANY);
	}
	take_place(k, host);
	k->hop = path->hop;
	k->mtu = path->hop.mtu;
	if (path->mtu && now < path->expires && path->mtu < k->mtu)
		k->mtu = path->mtu;
	if (!p->refresh)
		k->way = p->now;
	p->refresh |= k->hop.kernel;
	return REASON_NONE;
}

/* The way to `host`, and in p->refresh whether the kernel is to see this packet to it. */
static __always_inline enum reason
next_hop(ctx_t *ctx, struct packet *p, const struct address *host, const struct known_host **way)
{
	struct known_host *k = host_place(host);
	enum reason r;

	if (!k)
		return DROP_NO_ROUTE;
	if (address_equal(&k->host, host) && is_fresh(p, &k->way)) {
		p->refresh = k->hop.kernel;
	} else {
		p->next = *host;
		r = find_way(ctx);
		if (r)
			return r;
	}
	*way = k;
	return REASON_NONE;
}

/*
 * What XDP leaves to tcx on the same device, in the metadata area. Nobody on a wire can write that; the
 * other end of a veth can, where it runs XDP of its own: it survives a redirect (seen on 6.18).
 */
struct handoff {
	__u32 magic;
	__u32 secret;
	__u32 ifindex; /* to send it out of; 0: to the host's stack, as a function said */
};

#define HANDOFF_MAGIC 0x6d697a61

static __always_inline __u64 handoff_secret(void)
{
	__u32 zero = 0;
	const struct settings *s = bpf_map_lookup_elem(&settings, &zero);

	return s ? s->secret : 0;
}

/* Written by us, or by somebody who knows what only root can read. */
static __always_inline bool is_ours(const struct handoff *meta)
{
	__u64 secret = handoff_secret();

	return meta->magic == (HANDOFF_MAGIC ^ (__u32)secret) && meta->secret == secret >> 32;
}

#if CTX_XDP

/* To whoever comes behind XDP, tcx first, which is not to take another's metadata for ours. */
static __always_inline enum reason pass(ctx_t *ctx, enum reason why, int *act)
{
	struct handoff *meta = (void *)(long)ctx->data_meta;

	if ((void *)(meta + 1) <= ctx_data(ctx) && is_ours(meta) &&
	    bpf_xdp_adjust_meta(ctx, (int)(ctx->data - ctx->data_meta)))
		return DROP_MODIFY;
	*act = CTX_PASS;
	return why;
}

static __always_inline enum reason hand_off(ctx_t *ctx, __u32 ifindex, int *act)
{
	__u64 secret = handoff_secret();
	struct handoff *meta;

	if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*meta)))
		return DROP_NO_NEIGHBOUR;
	meta = (void *)(long)ctx->data_meta;
	if ((void *)(meta + 1) > ctx_data(ctx))
		return DROP_NO_NEIGHBOUR;
	meta->magic = HANDOFF_MAGIC ^ (__u32)secret;
	meta->secret = secret >> 32;
	meta->ifindex = ifindex;
	/* To the stack's eyes it has to be a packet for this host. */
	*act = XDP_PASS;
	return REASON_NONE;
}

/* To the host's stack, and past the functions of tcx: they have had it. */
static __always_inline enum reason pass_on(ctx_t *ctx, int *act)
{
	enum reason r = hand_off(ctx, 0, act);

	return r ? r : REASON_PASS;
}

static __always_inline enum reason send_out(ctx_t *ctx, const struct packet *p, const struct hop *h,
					    int *act)
{
	struct ethhdr *eth = AT(ctx, 0, struct ethhdr);

	if (!eth)
		return DROP_MODIFY;
	if (p->refresh)
		return hand_off(ctx, h->ifindex, act);
	__builtin_memcpy(eth->h_dest, h->dmac, 6);
	__builtin_memcpy(eth->h_source, h->smac, 6);
	*act = h->tx && h->ifindex == ctx_ifindex(ctx) ? XDP_TX : bpf_redirect(h->ifindex, 0);
	return REASON_NONE;
}

#else

static __always_inline enum reason pass(ctx_t *ctx, enum reason why, int *act)
{
	*act = CTX_PASS;
	return why;
}

static __always_inline enum reason pass_on(ctx_t *ctx, int *act)
{
	return pass(ctx, REASON_PASS, act);
}

static __always_inline enum reason send_out(ctx_t *ctx, const struct packet *p, const struct hop *h,
					    int *act)
{
	struct bpf_redir_neigh nh = { .nh_family = h->via_v6 ? AF_INET6 : AF_INET };

	/* The kernel resolves, refreshes and writes the MACs. */
	__builtin_memcpy(nh.ipv6_nh, h->via.bytes, 16);
	*act = bpf_redirect_neigh(h->ifindex, &nh, sizeof(nh), 0);
	return *act == TC_ACT_REDIRECT ? REASON_NONE : DROP_NO_NEIGHBOUR;
}

static __always_inline bool behind_xdp(const struct packet *p, __u32 ifindex)
{
	const struct known_interface *k = find_interface(p, ifindex);

	return k && ((k->is_droplet && (k->droplet.flags & DROPLET_XDP)) ||
		     (k->is_agent && (k->agent.flags & AGENT_XDP)));
}

static __always_inline bool is_droplet(const struct packet *p, __u32 ifindex)
{
	const struct known_interface *k = find_interface(p, ifindex);

	return k && k->is_droplet;
}

/* A packet that XDP left to us: it is encapsulated, and lacks a neighbour. Or it is the host's. */
static __always_inline bool take_handoff(ctx_t *ctx, const struct packet *p, int *act,
					 enum reason *r)
{
	struct handoff *meta = (void *)(long)ctx->data_meta;

	if ((void *)(meta + 1) > ctx_data(ctx) || !is_ours(meta) ||
	    !behind_xdp(p, ctx_ifindex(ctx)))
		return false;
	/* What an endpoint sent is never the host's: its agent has not said so. */
	if (!meta->ifindex && !is_droplet(p, ctx_ifindex(ctx)))
		return false;
	*r = meta->ifindex ? REASON_RESOLVE : REASON_PASS;
	*act = meta->ifindex ? bpf_redirect_neigh(meta->ifindex, NULL, 0, 0) : CTX_PASS;
	return true;
}

#endif

#endif
