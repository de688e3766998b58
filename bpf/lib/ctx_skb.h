/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The vocabulary of packets, for tcx and clsact. ctx_xdp.h says what the words mean. */
#ifndef MIZAR_CTX_H
#define MIZAR_CTX_H

#include "compat.h"
#include "tables.h"

typedef struct __sk_buff ctx_t;

#define CTX_PASS TC_ACT_UNSPEC /* TCX_NEXT: whoever else is attached, then the stack */
#define CTX_DROP TC_ACT_SHOT
#define CTX_XDP 0

static __always_inline void *ctx_data(const ctx_t *ctx)
{
	return (void *)(long)ctx->data;
}

static __always_inline void *ctx_end(const ctx_t *ctx)
{
	return (void *)(long)ctx->data_end;
}

static __always_inline __u32 ctx_len(const ctx_t *ctx)
{
	return ctx->len;
}

static __always_inline __u32 ctx_len_known(const ctx_t *ctx, __u32 length)
{
	return ctx->len;
}

static __always_inline __u32 ctx_ifindex(const ctx_t *ctx)
{
	return ctx->ifindex;
}

/*
 * Behind generic XDP the kernel may have forgotten how long the Ethernet header is: programs get packets
 * that begin with IP, though the header is there (seen on 6.18; where XDP takes frags, most packets are
 * copied first, since 6.9, and the copy lacks mac_len). Such a packet has more bytes from its Ethernet
 * header on than we are shown; to all others the first load is refused.
 */
static __always_inline bool ctx_mend(ctx_t *ctx)
{
	__u8 eth[ETH_HLEN];

	if (bpf_skb_load_bytes_relative(ctx, ctx->data_end - ctx->data, eth, 1, BPF_HDR_START_MAC))
		return true;
	return !bpf_skb_load_bytes_relative(ctx, 0, eth, sizeof(eth), BPF_HDR_START_MAC) &&
	       !bpf_skb_change_head(ctx, sizeof(eth), 0) &&
	       !bpf_skb_store_bytes(ctx, 0, eth, sizeof(eth), 0);
}

static __always_inline bool ctx_pull(ctx_t *ctx, __u32 len)
{
	return !bpf_skb_pull_data(ctx, len < ctx->len ? len : ctx->len);
}

static __always_inline bool ctx_sends_frags(void)
{
	return true;
}

static __always_inline int ctx_load(ctx_t *ctx, __u32 off, void *to, __u32 len)
{
	return bpf_skb_load_bytes(ctx, off, to, len);
}

static __always_inline __u32 ctx_segment(const ctx_t *ctx)
{
	return ctx->gso_size;
}

static __always_inline bool ctx_tag(const ctx_t *ctx, __u16 *tci, __be16 *proto)
{
	*tci = ctx->vlan_tci;
	*proto = ctx->vlan_proto;
	return ctx->vlan_present;
}

/*
 * Write skb->protocol, which is read-only to programs: a shrink may set it (6.3). Room for 40 bytes is
 * made first, and cut again.
 */
static __always_inline int set_protocol(ctx_t *ctx, bool v6)
{
	__u64 to = v6 ? ADJ_ROOM_DECAP_L3_IPV6 : ADJ_ROOM_DECAP_L3_IPV4;

	if (ctx->protocol == (v6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP)))
		return 0;
	if (bpf_skb_adjust_room(ctx, 40, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO))
		return -1;
	return bpf_skb_adjust_room(ctx, -40, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO | to);
}

static __always_inline int ctx_encap(ctx_t *ctx, __u32 outer, __u32 l2, bool v6)
{
	__u64 flags = BPF_F_ADJ_ROOM_ENCAP_L4_UDP | BPF_F_ADJ_ROOM_ENCAP_L2_ETH |
		      BPF_F_ADJ_ROOM_FIXED_GSO |
		      (v6 ? BPF_F_ADJ_ROOM_ENCAP_L3_IPV6 : BPF_F_ADJ_ROOM_ENCAP_L3_IPV4);
	int err;

	/* The tag goes into the bytes, inside. */
	if (l2 > ETH_HLEN) {
		if (bpf_skb_vlan_pop(ctx))
			return -1;
		flags |= BPF_F_ADJ_ROOM_ENCAP_L2(ETH_HLEN + 4);
	} else {
		flags |= BPF_F_ADJ_ROOM_ENCAP_L2(ETH_HLEN);
	}
	err = bpf_skb_adjust_room(ctx, outer + l2, BPF_ADJ_ROOM_MAC, flags);
	if (!err)
		return 0;
	if (err != -EALREADY)
		return err;
	/*
	 * skb->encapsulation is set: a router endpoint sends on what was decapsulated here, or the
	 * workload has a tunnel of its own. Inner offsets are right already (seen on 6.1 to 6.18).
	 */
	err = bpf_skb_adjust_room(ctx, outer + l2, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO);
	return err ? err : set_protocol(ctx, v6);
}

static __always_inline int ctx_decap(ctx_t *ctx, __u32 outer, bool v6)
{
	__u64 flags = BPF_F_ADJ_ROOM_FIXED_GSO;
	__u64 to = v6 ? ADJ_ROOM_DECAP_L3_IPV6 : ADJ_ROOM_DECAP_L3_IPV4;
	int cut = -(int)(outer + ETH_HLEN);

	if (ctx->protocol == (v6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP)))
		return bpf_skb_adjust_room(ctx, cut, BPF_ADJ_ROOM_MAC, flags);
	if (!bpf_skb_adjust_room(ctx, cut, BPF_ADJ_ROOM_MAC, flags | to))
		return 0;
	/* Before 6.3 skb->protocol stays the outer one; ctx_deliver sees it. */
	return bpf_skb_adjust_room(ctx, cut, BPF_ADJ_ROOM_MAC, flags);
}

static __always_inline int ctx_resize(ctx_t *ctx, int delta, bool v6)
{
	__be16 want = v6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP);
	int err;

	if (ctx->protocol == want) {
		if (!delta)
			return 0;
		return bpf_skb_adjust_room(ctx, delta, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO);
	}
	/* Another family outside: set_protocol's trick, or before 6.3 the helper for it, which would
	 * spoil the segments' type. */
	err = bpf_skb_adjust_room(ctx, delta + 40, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO);
	if (err)
		return err;
	err = bpf_skb_adjust_room(ctx, -40, BPF_ADJ_ROOM_MAC,
				  BPF_F_ADJ_ROOM_FIXED_GSO |
					  (v6 ? ADJ_ROOM_DECAP_L3_IPV6 : ADJ_ROOM_DECAP_L3_IPV4));
	if (!err)
		return 0;
	if (ctx->gso_size)
		return err;
	err = bpf_skb_adjust_room(ctx, v6 ? -60 : -20, BPF_ADJ_ROOM_MAC, 0);
	return err ? err : bpf_skb_change_proto(ctx, want, 0);
}

static __always_inline int ctx_tail(ctx_t *ctx, __u32 len)
{
	return bpf_skb_change_tail(ctx, len, 0);
}

/*
 * What is kept goes to the end, and the middle is cut. bpf_skb_change_tail alone would not do: it refuses
 * packets with skb->encapsulation set (a workload's own tunnel, or what came through ours), and where the
 * checksum is still to be written it leaves that to be done, now in the quote. It is tried first for what
 * only it does, to make the packet one that is not GSO. The last cut is seen by the kernel when the place of
 * the checksum is gone already: that ends it.
 */
static __always_inline int ctx_quote(ctx_t *ctx, __u32 l3, __u32 quote, __u32 room, bool v6)
{
	__u32 len = ctx_len(ctx), want = l3 + quote + room, cut;
	__be32 word;

	if (len < want + quote)
		return ctx_tail(ctx, l3 + quote) ? -1 : ctx_resize(ctx, room, v6);
	if (len > want + 2 * quote)
		ctx_tail(ctx, want + 2 * quote);
	len = ctx_len(ctx);
	cut = len - want;
	if (ctx->gso_size || cut < 8 || cut > 0xe000 /* the kernel's offsets are of 16 bits */)
		return -1;
	for (__u32 i = 0; i < 128 && i < quote; i += sizeof(word))
		if (bpf_skb_load_bytes(ctx, l3 + i, &word, sizeof(word)) ||
		    bpf_skb_store_bytes(ctx, len - quote + i, &word, sizeof(word), 0))
			return -1;
	for (int i = 0; i < 16; i++) {
		/* Asked anew: of what it has counted itself the verifier follows every value. */
		cut = ctx_len(ctx) - want;
		if (!cut)
			return 0;
		if (!i)
			cut -= 4;
		if (cut > 0xfff)
			cut = 0xfff;
		if (bpf_skb_adjust_room(ctx, -(int)cut, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO))
			return -1;
	}
	return ctx_len(ctx) == want ? 0 : -1;
}

static __always_inline int ctx_reflect(ctx_t *ctx)
{
	return bpf_redirect(ctx->ifindex, 0);
}

static __always_inline int ctx_deliver(ctx_t *ctx, const struct agent *a, __u32 ifindex, bool v6,
				       bool tagged)
{
	/* redirect_peer saves a trip through the backlog, but asks no one for type and protocol again. */
	if ((a->flags & AGENT_PEER) && !tagged &&
	    ctx->protocol == (v6 ? bpf_htons(ETH_P_IPV6) : bpf_htons(ETH_P_IP))) {
		if (ctx->pkt_type != 0)
			bpf_skb_change_type(ctx, 0 /* PACKET_HOST */);
		return bpf_redirect_peer(ifindex, 0);
	}
	return bpf_redirect(ifindex, 0);
}

#endif
