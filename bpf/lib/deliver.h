/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Handing a frame to a workload on this host. */
#ifndef MIZAR_DELIVER_H
#define MIZAR_DELIVER_H

#include "icmp.h"
#include "inner.h"
#include "learn.h"

#define ECN_MASK 3
#define ECN_ECT0 2
#define ECN_ECT1 1
#define ECN_CE 3

static __always_inline enum reason set_inner_ecn(ctx_t *ctx, const struct packet *p, __u8 ecn)
{
	if (p->v6) {
		__u8 *b = (__u8 *)AT(ctx, p->l3, struct ipv6hdr);

		if (!b)
			return DROP_MODIFY;
		b[1] = (b[1] & ~(ECN_MASK << 4)) | ecn << 4;
	} else {
		struct iphdr *ip = AT(ctx, p->l3, struct iphdr);
		__u8 tos = (p->tos & ~ECN_MASK) | ecn;
		__u32 sum;

		if (!ip)
			return DROP_MODIFY;
		/* RFC 1624: HC' = ~(~HC + ~m + m'), of the word that holds the TOS, low byte. */
		sum = (__u16)~bpf_ntohs(ip->check) + (__u16) ~(__u16)p->tos + tos;
		sum = (sum & 0xffff) + (sum >> 16);
		sum = (sum & 0xffff) + (sum >> 16);
		ip->check = bpf_htons(~sum);
		ip->tos = tos;
	}
	return REASON_NONE;
}

/* RFC 6040, section 4.2: what congestion outside means inside. */
static __always_inline enum reason decap_ecn(ctx_t *ctx, const struct packet *p)
{
	__u8 outer = p->outer_tos & ECN_MASK, inner = p->tos & ECN_MASK;

	if (outer == ECN_CE && inner != ECN_CE)
		return inner ? set_inner_ecn(ctx, p, ECN_CE) : DROP_ECN;
	if (outer == ECN_ECT1 && inner == ECN_ECT0)
		return set_inner_ecn(ctx, p, ECN_ECT1);
	return REASON_NONE;
}

static __always_inline void count_delivered(const struct agent *a, __u32 length)
{
	__u32 slot = a->traffic;
	struct traffic *t = bpf_map_lookup_elem(&traffic, &slot);

	if (t) {
		t->rx_packets++;
		t->rx_bytes += length;
	}
}

static __always_inline enum reason hand_over(ctx_t *ctx, const struct packet *p,
					     const struct agent *a, __be16 proto, bool tagged,
					     __u32 length, int *act)
{
	struct ethhdr *eth = AT(ctx, 0, struct ethhdr);

	if (!eth)
		return DROP_MODIFY;
	fill_ethernet(eth, a->mac, virtual_mac, proto);
	count_delivered(a, ctx_len_known(ctx, length));
	*act = ctx_deliver(ctx, a, p->to, p->v6, tagged);
	return REASON_NONE;
}

/*
 * An endpoint here takes less than what was sent to it: its sender's host is to be told, straight, and is
 * p->next then. Whom a packet names that came by no relay is not told. This and what follows are looked at
 * by the verifier once, each by itself, and do not call each other: the stack has no room for more than
 * reply_too_big below them.
 */
__noinline int whom_to_tell(ctx_t *ctx)
{
	__u32 zero = 0;
	struct packet *p = bpf_map_lookup_elem(&scratch, &zero);

	if (!p)
		return DROP_TOO_BIG;
	if (!p->option)
		p->sender = p->outer_source;
	else if (!address_equal(&p->sender, &p->outer_source) &&
		 !is_relay(p, find_network(p->vni, &p->source)))
		return DROP_TOO_BIG;
	if (p->tagged || !may_answer(ctx, p) || !is_peer(&p->sender))
		return DROP_TOO_BIG;
	p->next = p->sender;
	return REASON_NONE;
}

/* Tell it, by the way that find_way found. */
__noinline int tell_too_big(ctx_t *ctx, __u32 mtu, __u32 ifindex, int *act)
{
	__u32 zero = 0;
	struct packet *p = bpf_map_lookup_elem(&scratch, &zero);
	const struct settings *s = bpf_map_lookup_elem(&settings, &zero);
	const struct agent *a;
	__u8 mac[6];
	enum reason r;

	if (!p || !act || !s)
		return DROP_TOO_BIG;
	a = find_agent(p, ifindex);
	if (!a)
		return DROP_TENANT;
	__builtin_memcpy(mac, a->mac, 6);
	p->hash = flow_hash(ctx, p);
	p->tos = 0;
	if (ctx_decap(ctx, p->outer, p->v6))
		return DROP_MODIFY;
	r = reply_too_big(ctx, ETH_HLEN, p->v6, mtu, act);
	if (r >= REASON_DROP_FIRST)
		return r;
	r = encapsulate(ctx, p, s, &p->path.hop, &p->sender, mac, virtual_mac, false, ctx_len(ctx),
			act);
	return r ? r : REASON_TOO_BIG_REPLY;
}

/* A packet that came back is of an endpoint here: its host is not to be told. */
static __always_inline enum reason refuse_size(ctx_t *ctx, const struct packet *p,
					       const struct agent *a, int *act)
{
	enum reason r;

	if (p->critical)
		return DROP_TOO_BIG;
	r = whom_to_tell(ctx);
	if (r)
		return r;
	r = find_way(ctx);
	if (r)
		return r;
	return tell_too_big(ctx, a->mtu, p->to, act);
}

/* Past XDP and AF_XDP at the workload's end goes nothing: no shortcut is taken. */
static __always_inline enum reason hand_whole(ctx_t *ctx, const struct agent *a, __u32 ifindex,
					      __u32 length, int *act)
{
	struct ethhdr *eth = AT(ctx, 0, struct ethhdr);

	if (!eth)
		return DROP_MODIFY;
	fill_ethernet(eth, a->mac, virtual_mac, eth->h_proto);
	count_delivered(a, length);
	*act = bpf_redirect(ifindex, 0);
	return REASON_NONE;
}

/* A tunnel packet to a function: as it came, but for the MACs. */
static __always_inline enum reason deliver_whole(ctx_t *ctx, const struct packet *p,
						 const struct agent *a, int *act)
{
	__u32 size = p->segment ? inner_size(ctx, p) + p->l3 : p->outer_end;
	enum reason r;

	if (size - ETH_HLEN > a->mtu)
		return DROP_TOO_BIG;
	r = hand_whole(ctx, a, p->to, p->length, act);
	return r ? r : REASON_DELIVER;
}

/* IPv4's dummy address (RFC 7600): stands for this host in what never leaves it. */
#define DUMMY bpf_htonl(0xc0000008)

/* What an endpoint here sent to a function here: in a tunnel packet, as those come from elsewhere. */
__noinline int deliver_wrapped(ctx_t *ctx, int *act)
{
	__u32 zero = 0;
	struct packet *p = bpf_map_lookup_elem(&scratch, &zero);
	const struct settings *s = bpf_map_lookup_elem(&settings, &zero);
	const struct agent *a;
	struct hop *h;
	__u32 size;
	__u8 mac[6];
	enum reason r;

	if (!p || !s || !act)
		return DROP_NO_AGENT;
	h = &p->path.hop;
	a = find_agent(p, p->from);
	if (!a)
		return DROP_NO_AGENT;
	__builtin_memcpy(mac, a->mac, 6); /* the next may take its place */
	a = find_agent(p, p->to);
	if (!a)
		return DROP_TENANT;
	size = outer_length(false, false) + (p->tagged ? ETH_HLEN + 4 : ETH_HLEN);
	if (inner_size(ctx, p) + size > a->mtu)
		return answer_too_big(ctx, p, a->mtu - size, act);
	__builtin_memset(h, 0, sizeof(*h));
	address_v4(&h->source, DUMMY);
	p->hash = flow_hash(ctx, p);
	r = wrap(ctx, p, s, h, &h->source, mac, virtual_mac, false, p->length);
	if (r)
		return r;
	r = hand_whole(ctx, a, p->to, ctx_len(ctx), act);
	return r ? r : REASON_DELIVER_LOCAL;
}

/* What came through a tunnel. */
static __always_inline enum reason deliver_tunnel(ctx_t *ctx, struct packet *p, int *act)
{
	const struct agent *a = find_agent(p, p->to);
	enum reason r;

	if (!a)
		return DROP_TENANT;
	if (p->whole)
		return deliver_whole(ctx, p, a, act);
	if (inner_size(ctx, p) > a->mtu)
		return refuse_size(ctx, p, a, act);
	r = decap_ecn(ctx, p);
	if (r)
		return r;
	if (ctx_decap(ctx, p->outer, p->v6))
		return DROP_MODIFY;
	r = hand_over(ctx, p, a, p->tagged ? p->tag_proto : p->ethertype, p->tagged,
		      p->length - p->outer - ETH_HLEN, act);
	return r ? r : REASON_DELIVER;
}

/* What an endpoint on this host sent. */
static __always_inline enum reason deliver_local(ctx_t *ctx, const struct packet *p, int *act)
{
	const struct agent *a = find_agent(p, p->to);
	bool in_bytes = p->tagged && !p->tag_outside;
	enum reason r;

	if (!a)
		return DROP_TENANT;
	if (p->to == p->from)
		return DROP_LOOP; /* a router's route to itself */
	if (p->whole)
		return deliver_wrapped(ctx, act);
	if (inner_size(ctx, p) > a->mtu)
		return answer_too_big(ctx, p, a->mtu, act);
	r = hand_over(ctx, p, a, in_bytes ? p->tag_proto : p->ethertype, in_bytes, p->length, act);
	return r ? r : REASON_DELIVER_LOCAL;
}

#endif
