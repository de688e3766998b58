/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Writing a tunnel packet: one function fills each header, others make room and compose them. */
#ifndef MIZAR_ENCAP_H
#define MIZAR_ENCAP_H

#include "address.h"
#include "geneve.h"
#include "nexthop.h"

#define OUTER_TTL 64
#define SPORT_FIRST 49152
#define SPORT_MASK 0x3fff

static __always_inline __u32 ip_length(bool v6)
{
	return v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);
}

/* From the outer IP header to the end of the options. */
static __always_inline __u32 outer_length(bool v6, bool rts)
{
	return ip_length(v6) + sizeof(struct udphdr) + sizeof(struct geneve) +
	       (rts ? sizeof(struct option_rts) : 0);
}

static __always_inline void fill_ethernet(struct ethhdr *eth, const __u8 *dst, const __u8 *src,
					  __be16 proto)
{
	__builtin_memcpy(eth->h_dest, dst, 6);
	__builtin_memcpy(eth->h_source, src, 6);
	eth->h_proto = proto;
}

/* Lengths above 64 KiB are a segmented packet's; the kernel writes each segment's own. */
static __always_inline __be16 length16(__u32 length)
{
	return bpf_htons(length > 0xffff ? 0xffff : length);
}

static __always_inline void fill_ipv4(struct iphdr *ip, const struct address *src,
				      const struct address *dst, __u8 tos, __u8 proto, __u32 length)
{
	__u32 sum;

	ip->version = 4;
	ip->ihl = 5;
	ip->tos = tos;
	ip->tot_len = length16(length);
	ip->id = 0;
	ip->frag_off = bpf_htons(0x4000);
	ip->ttl = OUTER_TTL;
	ip->protocol = proto;
	ip->saddr = src->w[3];
	ip->daddr = dst->w[3];
	/* Of the values, not of what was just written: a CPU waits before it reads bytes back as words. */
	sum = bpf_htons(0x4500 | tos) + length16(length) + bpf_htons(0x4000) +
	      bpf_htons(OUTER_TTL << 8 | proto);
	sum += (src->w[3] & 0xffff) + (src->w[3] >> 16) + (dst->w[3] & 0xffff) + (dst->w[3] >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	ip->check = ~(sum + (sum >> 16));
}

static __always_inline void fill_ipv6(struct ipv6hdr *ip, const struct address *src,
				      const struct address *dst, __u8 tos, __u8 proto, __u32 length)
{
	ip->version = 6;
	ip->priority = tos >> 4;
	ip->flow_lbl[0] = tos << 4;
	ip->flow_lbl[1] = 0;
	ip->flow_lbl[2] = 0;
	ip->payload_len = length16(length - sizeof(*ip));
	ip->nexthdr = proto;
	ip->hop_limit = OUTER_TTL;
	__builtin_memcpy(&ip->saddr, src->bytes, 16);
	__builtin_memcpy(&ip->daddr, dst->bytes, 16);
}

static __always_inline void fill_udp(struct udphdr *udp, __u16 sport, __u16 dport, __u32 length)
{
	udp->source = bpf_htons(sport);
	udp->dest = bpf_htons(dport);
	udp->len = length16(length);
	udp->check = 0;
}

static __always_inline void fill_geneve(struct geneve *g, __u32 vni, __u8 words, bool critical)
{
	g->version_length = words;
	g->flags = critical ? GENEVE_CRITICAL : 0;
	g->protocol = bpf_htons(ETH_P_TEB);
	g->vni = bpf_htonl(vni << 8);
}

static __always_inline void fill_rts(struct option_rts *o, const struct settings *s,
				     const struct address *host, __u8 hops, bool critical)
{
	o->option.class = bpf_htons(s->option_class);
	o->option.type = OPTION_RTS | (critical ? OPTION_CRITICAL : 0);
	o->option.length = RTS_WORDS - 1;
	o->hops = hops;
	__builtin_memset(o->pad, 0, sizeof(o->pad));
	o->host = *host;
}

/* What the first three headers of a tunnel packet say. */
struct front {
	const struct address *source;
	const struct address *destination;
	__u32 length; /* from the IP header on */
	__u16 sport;
	__u8 tos;
};

/* Ethernet, IP and UDP towards a hop, over room that is there. The MACs are send_out's. */
static __always_inline enum reason write_front(ctx_t *ctx, const struct settings *s,
					       const struct hop *h, const struct front *f)
{
	static const __u8 none[6];

	if (h->v6) {
		struct {
			struct ethhdr eth;
			struct ipv6hdr ip;
			struct udphdr udp;
		} __attribute__((packed)) *to = AT(ctx, 0, typeof(*to));

		if (!to)
			return DROP_MODIFY;
		fill_ethernet(&to->eth, h->smac, none, bpf_htons(ETH_P_IPV6));
		fill_ipv6(&to->ip, f->source, f->destination, f->tos, IPPROTO_UDP, f->length);
		fill_udp(&to->udp, f->sport, s->port, f->length - sizeof(to->ip));
	} else {
		struct {
			struct ethhdr eth;
			struct iphdr ip;
			struct udphdr udp;
		} __attribute__((packed)) *to = AT(ctx, 0, typeof(*to));

		if (!to)
			return DROP_MODIFY;
		fill_ethernet(&to->eth, h->smac, none, bpf_htons(ETH_P_IP));
		fill_ipv4(&to->ip, f->source, f->destination, f->tos, IPPROTO_UDP, f->length);
		fill_udp(&to->udp, f->sport, s->port, f->length - sizeof(to->ip));
	}
	return REASON_NONE;
}

static __always_inline void count_sent(const struct hop *h, __u32 length)
{
	__u32 slot = h->traffic;
	struct traffic *t = bpf_map_lookup_elem(&traffic, &slot);

	if (t) {
		t->tx_packets++;
		t->tx_bytes += length;
	}
}

static __always_inline __u16 flow_port(__u32 hash)
{
	return SPORT_FIRST + (hash & SPORT_MASK);
}

/* Wrap a workload's frame of `length` bytes for `host`. With return-to-sender where it goes by a bouncer. */
static __always_inline enum reason wrap(ctx_t *ctx, const struct packet *p,
					const struct settings *s, const struct hop *h,
					const struct address *host, const __u8 *src_mac,
					const __u8 *dst_mac, bool rts, __u32 length)
{
	__u32 outer = outer_length(h->v6, rts);
	__u32 l2 = p->tagged ? ETH_HLEN + 4 : ETH_HLEN;
	__u32 base = ETH_HLEN + ip_length(h->v6) + sizeof(struct udphdr);
	struct option_rts *o;
	struct geneve *g;
	struct ethhdr *eth;
	enum reason r;
	struct front f = {
		.source = &h->source,
		.destination = host,
		.sport = flow_port(p->hash),
		.tos = p->tos,
	};

	if (ctx_encap(ctx, outer, l2, h->v6))
		return DROP_MODIFY;
	f.length = ctx_len_known(ctx, length + outer + ETH_HLEN) - ETH_HLEN;
	r = write_front(ctx, s, h, &f);
	if (r)
		return r;
	g = AT(ctx, base, struct geneve);
	if (!g)
		return DROP_MODIFY;
	fill_geneve(g, p->vni, rts ? RTS_WORDS : 0, false);
	if (rts) {
		o = AT(ctx, base + sizeof(*g), struct option_rts);
		if (!o)
			return DROP_MODIFY;
		fill_rts(o, s, &h->source, RTS_HOPS, false);
	}
	eth = AT(ctx, ETH_HLEN + outer, struct ethhdr);
	if (!eth)
		return DROP_MODIFY;
	fill_ethernet(eth, dst_mac, src_mac, p->tagged ? p->tag_proto : p->ethertype);
	if (p->tagged) {
		__be16 *tag = (__be16 *)AT(ctx, ETH_HLEN + outer + ETH_HLEN, __be32);

		if (!tag)
			return DROP_MODIFY;
		tag[0] = bpf_htons(p->tag);
		tag[1] = p->ethertype;
	}
	return REASON_NONE;
}

/* And send it. The size was checked. */
static __always_inline enum reason encapsulate(ctx_t *ctx, struct packet *p,
					       const struct settings *s, const struct hop *h,
					       const struct address *host, const __u8 *src_mac,
					       const __u8 *dst_mac, bool rts, __u32 length,
					       int *act)
{
	enum reason r = wrap(ctx, p, s, h, host, src_mac, dst_mac, rts, length);

	if (r)
		return r;
	r = send_out(ctx, p, h, act);
	if (!r)
		count_sent(h, ctx_len_known(ctx, length + outer_length(h->v6, rts) + ETH_HLEN));
	return r;
}

#endif
