/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A workload's frame: Ethernet, one VLAN tag, IPv4 or IPv6, and where L4 begins. */
#ifndef MIZAR_INNER_H
#define MIZAR_INNER_H

#include "address.h"
#include "packet.h"

#define EXTENSIONS_MAX 8

static __always_inline enum reason inner_ethernet(ctx_t *ctx, struct packet *p)
{
	struct ethhdr *eth = AT(ctx, p->eth, struct ethhdr);
	struct {
		__be16 tci;
		__be16 proto;
	} *tag;

	if (!eth || p->eth + sizeof(*eth) > p->end)
		return DROP_INNER_SHORT;
	p->ethertype = eth->h_proto;
	p->l3 = p->eth + sizeof(*eth);
	if (p->eth == 0 && ctx_tag(ctx, &p->tag, &p->tag_proto)) {
		p->tagged = true;
		p->tag_outside = true;
	}
	if (p->ethertype != bpf_htons(ETH_P_8021Q) && p->ethertype != bpf_htons(ETH_P_8021AD))
		return REASON_NONE;
	tag = AT(ctx, p->l3, typeof(*tag));
	if (!tag || p->l3 + sizeof(*tag) > p->end)
		return DROP_INNER_SHORT;
	if (p->tagged || tag->proto == bpf_htons(ETH_P_8021Q) ||
	    tag->proto == bpf_htons(ETH_P_8021AD))
		return DROP_INNER_VLAN;
	p->tagged = true;
	p->tag = bpf_ntohs(tag->tci);
	p->tag_proto = p->ethertype;
	p->ethertype = tag->proto;
	p->l3 += sizeof(*tag);
	return REASON_NONE;
}

static __always_inline enum reason inner_ipv4(ctx_t *ctx, struct packet *p)
{
	struct iphdr *ip = AT(ctx, p->l3, struct iphdr);
	__u32 ihl, total;

	if (!ip || p->l3 + sizeof(*ip) > p->end)
		return DROP_INNER_SHORT;
	ihl = ip->ihl * 4;
	total = bpf_ntohs(ip->tot_len);
	if (p->segment && total == 0)
		total = p->end - p->l3; /* more than 64 KiB */
	if (ip->version != 4 || ihl < sizeof(*ip) || total < ihl || p->l3 + total > p->end)
		return DROP_INNER_IPV4;
	p->end = p->l3 + total;
	p->l4 = p->l3 + ihl;
	p->proto = ip->protocol;
	p->tos = ip->tos;
	if (ip->frag_off & bpf_htons(0x1fff))
		p->fragment = FRAGMENT_LATER;
	else if (ip->frag_off & bpf_htons(0x2000))
		p->fragment = FRAGMENT_FIRST;
	else
		p->fragment = FRAGMENT_NONE;
	address_v4(&p->source, ip->saddr);
	address_v4(&p->destination, ip->daddr);
	return REASON_NONE;
}

static __always_inline bool is_extension(__u8 proto)
{
	return proto == IPPROTO_HOPOPTS || proto == IPPROTO_ROUTING || proto == IPPROTO_FRAGMENT ||
	       proto == IPPROTO_DSTOPTS || proto == IPPROTO_AH;
}

/*
 * The chain has to be whole in the first fragment (RFC 7112), so that nothing hides behind it. For the
 * verifier a function by itself: few packets have one.
 */
__noinline int inner_extensions(ctx_t *ctx)
{
	__u32 zero = 0, off, length;
	struct packet *p = bpf_map_lookup_elem(&scratch, &zero);
	bool fragmented = false;
	__u8 h[4], proto;

	if (!p)
		return DROP_INNER_EXTENSION;
	off = p->l4;
	proto = p->proto;
	for (int i = 0; i < EXTENSIONS_MAX; i++) {
		if (!is_extension(proto))
			break;
		if (off + 8 > p->end || off >= 0x800 || ctx_load(ctx, off, h, sizeof(h)))
			return DROP_INNER_EXTENSION;
		if (proto == IPPROTO_FRAGMENT) {
			__u16 offset = h[2] << 8 | h[3];

			if (fragmented)
				return DROP_INNER_EXTENSION;
			fragmented = true;
			if (offset & 0xfff8)
				p->fragment = FRAGMENT_LATER;
			else if (offset & 1)
				p->fragment = FRAGMENT_FIRST;
			length = 8;
		} else if (proto == IPPROTO_AH) {
			length = (h[1] + 2) * 4;
		} else {
			length = (h[1] + 1) * 8;
		}
		proto = h[0];
		off += length;
		if (p->fragment == FRAGMENT_LATER)
			break; /* what follows is payload, whatever `proto` says */
	}
	if (p->fragment != FRAGMENT_LATER && (is_extension(proto) || off > p->end || off >= 0x800))
		return DROP_INNER_EXTENSION;
	p->extended = true;
	p->proto = proto;
	p->l4 = off;
	return REASON_NONE;
}

static __always_inline enum reason inner_ipv6(ctx_t *ctx, struct packet *p)
{
	struct ipv6hdr *ip = AT(ctx, p->l3, struct ipv6hdr);
	__u32 length;

	if (!ip || p->l3 + sizeof(*ip) > p->end)
		return DROP_INNER_SHORT;
	length = bpf_ntohs(ip->payload_len);
	if (p->segment && length == 0)
		length = p->end - p->l3 - sizeof(*ip); /* more than 64 KiB */
	if (ip->version != 6 || p->l3 + sizeof(*ip) + length > p->end)
		return DROP_INNER_IPV6;
	p->end = p->l3 + sizeof(*ip) + length;
	p->v6 = true;
	p->l4 = p->l3 + sizeof(*ip);
	p->proto = ip->nexthdr;
	p->tos = ip->priority << 4 | ip->flow_lbl[0] >> 4;
	p->fragment = FRAGMENT_NONE;
	address_v6(&p->source, &ip->saddr);
	address_v6(&p->destination, &ip->daddr);
	/* In the tables such an address would be IPv4's. */
	if (address_is_v4(&p->source) || address_is_v4(&p->destination))
		return DROP_INNER_MAPPED;
	return is_extension(p->proto) ? inner_extensions(ctx) : REASON_NONE;
}

static __always_inline __u32 mix(__u32 h, __u32 v)
{
	h ^= v * 0xcc9e2d51;
	h = (h << 13) | (h >> 19);
	return h * 5 + 0xe6546b64;
}

/*
 * The same in either program. A fragment has no ports, nor has the first one here, and the later ones of
 * IPv6 do not tell the protocol where extension headers follow.
 */
static __always_inline __u32 flow_hash(ctx_t *ctx, const struct packet *p)
{
	__u32 h = p->fragment ? 0 : p->proto;

	for (int i = 0; i < 4; i++) {
		h = mix(h, p->source.w[i]);
		h = mix(h, p->destination.w[i]);
	}
	if (!p->fragment && (p->proto == IPPROTO_TCP || p->proto == IPPROTO_UDP ||
			     p->proto == IPPROTO_SCTP || p->proto == IPPROTO_UDPLITE)) {
		__u32 ports = 0;

		if (p->l4 + sizeof(ports) <= p->end && !load_word(ctx, p->l4, &ports))
			h = mix(h, ports);
	}
	h ^= h >> 16;
	h *= 0x85ebca6b;
	h ^= h >> 13;
	h *= 0xc2b2ae35;
	return h ^ h >> 16;
}

/* The frame at p->eth, up to L4. ARP is left to its own parser. */
static __always_inline enum reason parse_inner(ctx_t *ctx, struct packet *p)
{
	enum reason r = inner_ethernet(ctx, p);

	if (r)
		return r;
	if (p->ethertype == bpf_htons(ETH_P_ARP))
		return REASON_NONE;
	if (p->ethertype == bpf_htons(ETH_P_IP))
		r = inner_ipv4(ctx, p);
	else if (p->ethertype == bpf_htons(ETH_P_IPV6))
		r = inner_ipv6(ctx, p);
	else
		r = DROP_INNER_ETHERTYPE;
	return r;
}

/* Neighbour discovery, MLD aside: solicitations, advertisements, redirects of routers and hosts. */
static __always_inline bool is_discovery(__u8 type)
{
	return type >= 133 && type <= 137;
}

/* The source and destination of a packet that is no neighbour discovery. */
static __always_inline enum reason check_addresses(const struct packet *p)
{
	if (address_is_multicast(&p->destination))
		return DROP_MULTICAST;
	if (address_is_bad(&p->destination) || address_is_bad(&p->source) ||
	    address_is_multicast(&p->source))
		return DROP_INNER_ADDRESS;
	return REASON_NONE;
}

/* The longest IP packet that this one becomes on a wire, with what follows it in the frame. */
static __always_inline __u32 inner_size(ctx_t *ctx, const struct packet *p)
{
	__u32 header = p->l4 - p->l3;
	__u8 doff = 0;

	if (!p->segment)
		return p->outer_end - p->l3;
	if (p->proto == IPPROTO_TCP && !ctx_load(ctx, p->l4 + 12, &doff, 1))
		header += (doff >> 4) * 4;
	else
		header += sizeof(struct udphdr);
	return header + p->segment;
}

#endif
