/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The vocabulary of packets, for XDP. ctx_skb.h has the same words for tcx, where they are not no-ops.
 *
 * A frame with a tunnel header is [Ethernet 14][outer: IP .. Geneve][inner Ethernet 14][tag?][L3 ..].
 */
#ifndef MIZAR_CTX_H
#define MIZAR_CTX_H

#include "compat.h"
#include "tables.h"

typedef struct xdp_md ctx_t;

#define CTX_PASS XDP_PASS
#define CTX_DROP XDP_DROP
#define CTX_XDP 1

const volatile bool frags = true;           /* the kernel has packets of several buffers (5.18) */
const volatile bool redirects_frags = true; /* and redirects them (6.3) */

static __always_inline void *ctx_data(const ctx_t *ctx)
{
	return (void *)(long)ctx->data;
}

static __always_inline void *ctx_end(const ctx_t *ctx)
{
	return (void *)(long)ctx->data_end;
}

static __always_inline __u32 ctx_len(ctx_t *ctx)
{
	return frags ? bpf_xdp_get_buff_len(ctx) : ctx->data_end - ctx->data;
}

/* The same where it can be told without asking. */
static __always_inline __u32 ctx_len_known(ctx_t *ctx, __u32 length)
{
	return length;
}

static __always_inline __u32 ctx_ifindex(const ctx_t *ctx)
{
	return ctx->ingress_ifindex;
}

/* Make the first `len` bytes directly accessible. XDP cannot: tcx takes the packet then. */
static __always_inline bool ctx_pull(ctx_t *ctx, __u32 len)
{
	return false;
}

/* Packets of several buffers can be sent on. Before 6.3 the kernel loses them at a redirect. */
static __always_inline bool ctx_sends_frags(void)
{
	return redirects_frags;
}

static __always_inline int ctx_load(ctx_t *ctx, __u32 off, void *to, __u32 len)
{
	if (frags)
		return bpf_xdp_load_bytes(ctx, off, to, len);
	/* Lengths are constants, but for an event's bytes, which go without then. */
	if (!__builtin_constant_p(len))
		return -1;
	__u8 *from = ctx_data(ctx) + (off & 0x7ff);

	if ((void *)from + len > ctx_end(ctx))
		return -1;
	for (__u32 i = 0; i < len; i++)
		((__u8 *)to)[i] = from[i];
	return 0;
}

/* Bytes of payload in each segment, 0 where the packet is one. */
static __always_inline __u32 ctx_segment(const ctx_t *ctx)
{
	return 0;
}

/* A tag that is not in the bytes. */
static __always_inline bool ctx_tag(const ctx_t *ctx, __u16 *tci, __be16 *proto)
{
	return false;
}

/* Make room between the frame's Ethernet header and its L3: the outer header and an inner Ethernet one. */
static __always_inline int ctx_encap(ctx_t *ctx, __u32 outer, __u32 l2, bool v6)
{
	return bpf_xdp_adjust_head(ctx, -(int)(outer + ETH_HLEN));
}

/* The inverse: what follows the first Ethernet header is cut. */
static __always_inline int ctx_decap(ctx_t *ctx, __u32 outer, bool v6)
{
	return bpf_xdp_adjust_head(ctx, outer + ETH_HLEN);
}

/* Make `delta` more bytes of room, or less, before the outer IP header, which becomes v6 or v4. */
static __always_inline int ctx_resize(ctx_t *ctx, int delta, bool v6)
{
	return delta ? bpf_xdp_adjust_head(ctx, -delta) : 0;
}

/* Cut the frame, or make it longer by zeroes, to `len` bytes; drops offloads. */
static __always_inline int ctx_tail(ctx_t *ctx, __u32 len)
{
	return bpf_xdp_adjust_tail(ctx, (int)len - (int)ctx_len(ctx));
}

/* Leave `room` bytes after the `l3` that come before the IP header, then its first `quote`, no more; drops
 * offloads where it can. */
static __always_inline int ctx_quote(ctx_t *ctx, __u32 l3, __u32 quote, __u32 room, bool v6)
{
	if (ctx_tail(ctx, l3 + quote))
		return -1;
	return ctx_resize(ctx, room, v6);
}

/*
 * Back out of the interface that it came in by. Not by XDP_TX: veth sends that on only together with other
 * frames where the other end has NAPI but runs no XDP (seen on 6.18).
 */
static __always_inline int ctx_reflect(ctx_t *ctx)
{
	return bpf_redirect(ctx->ingress_ifindex, 0);
}

/* To an endpoint's workload, by its host-side interface. */
static __always_inline int ctx_deliver(ctx_t *ctx, const struct agent *a, __u32 ifindex, bool v6,
				       bool tagged)
{
	return bpf_redirect(ifindex, 0);
}

#endif
