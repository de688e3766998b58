/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* ARP and IPv6 neighbour discovery: read, and answered in place. No such packet crosses a VPC. */
#ifndef MIZAR_NEIGHBOUR_H
#define MIZAR_NEIGHBOUR_H

#include "address.h"
#include "encap.h"
#include "inner.h"

struct arp {
	__be16 hardware;
	__be16 protocol;
	__u8 hardware_length;
	__u8 protocol_length;
	__be16 op;
	__u8 sender_mac[6];
	__be32 sender;
	__u8 target_mac[6];
	__be32 target;
} __attribute__((packed));

#define ARP_REQUEST 1
#define ARP_REPLY 2

/* p->source and p->destination become sender and target. */
static __always_inline enum reason parse_arp(ctx_t *ctx, struct packet *p, struct arp *arp)
{
	if (p->l3 + sizeof(*arp) > p->end || ctx_load(ctx, p->l3, arp, sizeof(*arp)))
		return DROP_INNER_SHORT;
	if (arp->hardware != bpf_htons(1) || arp->protocol != bpf_htons(ETH_P_IP) ||
	    arp->hardware_length != 6 || arp->protocol_length != 4 ||
	    (arp->op != bpf_htons(ARP_REQUEST) && arp->op != bpf_htons(ARP_REPLY)))
		return DROP_ARP;
	address_v4(&p->source, arp->sender);
	address_v4(&p->destination, arp->target);
	return REASON_NONE;
}

/* Turn the request into the reply that says `mac`. */
static __always_inline enum reason answer_arp(ctx_t *ctx, const struct packet *p,
					      const struct arp *request, const __u8 *mac)
{
	struct ethhdr *eth = AT(ctx, p->eth, struct ethhdr);
	struct arp *arp;

	if (!eth)
		return DROP_MODIFY;
	__builtin_memcpy(eth->h_dest, request->sender_mac, 6);
	__builtin_memcpy(eth->h_source, mac, 6);
	arp = AT(ctx, p->l3, struct arp);
	if (!arp)
		return DROP_MODIFY;
	arp->op = bpf_htons(ARP_REPLY);
	__builtin_memcpy(arp->sender_mac, mac, 6);
	arp->sender = request->target;
	__builtin_memcpy(arp->target_mac, request->sender_mac, 6);
	arp->target = request->sender;
	return REASON_NONE;
}

enum {
	ND_ROUTER_SOLICIT = 133,
	ND_ROUTER_ADVERT = 134,
	ND_SOLICIT = 135,
	ND_ADVERT = 136,
	ND_REDIRECT = 137,
};

enum {
	ND_SOURCE_LINK = 1,
	ND_TARGET_LINK = 2,
};

struct nd {
	__u8 type;
	__u8 code;
	__u16 checksum;
	__be32 flags;
	struct address target;
};

struct nd_advert {
	struct nd nd;
	__u8 option;
	__u8 length;
	__u8 mac[6];
};

#define ND_OPTIONS_MAX 4

/* The ICMPv6 type if the packet is neighbour discovery, else 0. Dropped: what hides it. */
static __always_inline enum reason discovery_type(ctx_t *ctx, const struct packet *p, __u8 *type)
{
	*type = 0;
	if (!p->v6 || p->proto != IPPROTO_ICMPV6 || p->fragment == FRAGMENT_LATER)
		return REASON_NONE;
	if (p->l4 >= p->end || ctx_load(ctx, p->l4, type, 1))
		return DROP_INNER_SHORT;
	if (!is_discovery(*type)) {
		*type = 0;
		return REASON_NONE;
	}
	/* RFC 6980 for fragments; nobody needs other headers either. */
	if (p->extended)
		return DROP_NEIGHBOUR;
	return REASON_NONE;
}

/* A solicitation or advertisement, and the link-layer address in it, which has to be `mac` if given. */
static __always_inline enum reason parse_nd(ctx_t *ctx, const struct packet *p, struct nd *nd,
					    const __u8 *mac)
{
	__u32 off = p->l4 + sizeof(*nd);
	__u8 limit, option[8];

	if (off > p->end || ctx_load(ctx, p->l4, nd, sizeof(*nd)) ||
	    ctx_load(ctx, p->l3 + 7, &limit, 1))
		return DROP_INNER_SHORT;
	if (limit != 255 || nd->code != 0 || nd->target.bytes[0] == 0xff ||
	    address_is_v4(&nd->target))
		return DROP_NEIGHBOUR;
	for (int i = 0; i < ND_OPTIONS_MAX; i++) {
		if (off == p->end)
			return REASON_NONE;
		if (off + sizeof(option) > p->end || off >= 0x800 ||
		    ctx_load(ctx, off, option, sizeof(option)) || option[1] == 0)
			return DROP_NEIGHBOUR;
		if (mac && (option[0] == ND_SOURCE_LINK || option[0] == ND_TARGET_LINK) &&
		    (option[1] != 1 || !mac_equal(option + 2, mac)))
			return DROP_SPOOF_NEIGHBOUR;
		off += option[1] * 8;
	}
	return off == p->end ? REASON_NONE : DROP_NEIGHBOUR;
}

static __always_inline __u16 fold(__u64 sum)
{
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* Turn the solicitation into the advertisement that says `mac`. It is always 32 bytes long. */
static __always_inline enum reason answer_nd(ctx_t *ctx, const struct packet *p,
					     const struct nd *nd, const __u8 *mac)
{
	struct {
		struct ipv6hdr ip;
		struct nd_advert na;
	} __attribute__((packed, aligned(2))) * to;
	bool probe = address_is_zero(&p->source);
	__u8 asked[6];
	struct ethhdr *eth;
	__s64 sum;

	if (ctx_tail(ctx, p->l3 + sizeof(*to)))
		return DROP_MODIFY;
	eth = AT(ctx, p->eth, struct ethhdr);
	if (!eth)
		return DROP_MODIFY;
	__builtin_memcpy(asked, eth->h_source, 6);
	__builtin_memcpy(eth->h_dest, asked, 6);
	__builtin_memcpy(eth->h_source, mac, 6);
	to = AT(ctx, p->l3, typeof(*to));
	if (!to)
		return DROP_MODIFY;
	to->ip.payload_len = bpf_htons(sizeof(to->na));
	to->ip.hop_limit = 255;
	__builtin_memcpy(&to->ip.saddr, nd->target.bytes, 16);
	if (probe) {
		struct address all = { .bytes = { 0xff, 0x02, [15] = 1 } };

		__builtin_memcpy(&to->ip.daddr, all.bytes, 16);
	} else {
		__builtin_memcpy(&to->ip.daddr, p->source.bytes, 16);
	}
	to->na.nd.type = ND_ADVERT;
	to->na.nd.code = 0;
	to->na.nd.checksum = 0;
	to->na.nd.flags = bpf_htonl(probe ? 0x20000000 : 0x60000000); /* override, solicited */
	to->na.nd.target = nd->target;
	to->na.option = ND_TARGET_LINK;
	to->na.length = 1;
	__builtin_memcpy(to->na.mac, mac, 6);
	sum = bpf_csum_diff(NULL, 0, (__be32 *)&to->ip.saddr, 32 + sizeof(to->na),
			    bpf_htonl(sizeof(to->na) + IPPROTO_ICMPV6));
	if (sum < 0)
		return DROP_MODIFY;
	to->na.nd.checksum = fold(sum);
	return REASON_NONE;
}

#endif
