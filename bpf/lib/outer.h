/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The tunnel's own headers: IP, UDP, Geneve and its options. */
#ifndef MIZAR_OUTER_H
#define MIZAR_OUTER_H

#include "address.h"
#include "geneve.h"
#include "nexthop.h"
#include "packet.h"

/* PASS: no tunnel packet of ours. */
static __always_inline enum reason outer_ipv4(ctx_t *ctx, struct packet *p)
{
	struct iphdr *ip = AT(ctx, ETH_HLEN, struct iphdr);
	__u32 ihl, total;

	if (!ip)
		return REASON_PASS;
	ihl = ip->ihl * 4;
	if (ip->version != 4 || ihl < sizeof(*ip) || ip->protocol != IPPROTO_UDP)
		return REASON_PASS;
	if (ip->frag_off & bpf_htons(0x1fff))
		return REASON_PASS; /* no ports: the stack puts it together, and knows no tunnel */
	p->fragment = !!(ip->frag_off & bpf_htons(0x2000));
	total = bpf_ntohs(ip->tot_len);
	if (p->segment && ETH_HLEN + total < p->length)
		total = p->length - ETH_HLEN; /* over 64 KiB; each segment gets its own */
	p->end = ETH_HLEN + total;
	p->l4 = ETH_HLEN + ihl;
	p->outer_tos = ip->tos;
	address_v4(&p->outer_source, ip->saddr);
	address_v4(&p->outer_destination, ip->daddr);
	return REASON_NONE;
}

static __always_inline enum reason outer_ipv6(ctx_t *ctx, struct packet *p)
{
	struct ipv6hdr *ip = AT(ctx, ETH_HLEN, struct ipv6hdr);

	if (!ip || ip->version != 6 || ip->nexthdr != IPPROTO_UDP)
		return REASON_PASS;
	address_v6(&p->outer_source, &ip->saddr);
	address_v6(&p->outer_destination, &ip->daddr);
	/* In the tables such an address would be IPv4's. No host takes it. */
	if (address_is_v4(&p->outer_source) || address_is_v4(&p->outer_destination))
		return REASON_PASS;
	p->end = ETH_HLEN + sizeof(*ip) + bpf_ntohs(ip->payload_len);
	if (p->segment && p->end < p->length)
		p->end = p->length;
	p->l4 = ETH_HLEN + sizeof(*ip);
	p->outer_v6 = true;
	p->outer_tos = ip->priority << 4 | ip->flow_lbl[0] >> 4;
	return REASON_NONE;
}

static __always_inline bool is_peer(const struct address *a)
{
	struct peer_key key = { .prefixlen = 128, .addr = *a };

	return bpf_map_lookup_elem(&peers, &key) != NULL;
}

/* That a tunnel packet may come from where it says. */
static __always_inline enum reason check_source(const struct packet *p)
{
	const struct address *source = &p->outer_source;
	struct known_host *k = host_place(source);

	if (k && address_equal(&k->host, source) && is_fresh(p, &k->peer))
		return REASON_NONE;
	if (address_is_bad(source) || address_is_multicast(source) || is_own(source))
		return DROP_OUTER_SOURCE;
	if (!is_peer(source))
		return DROP_PEER;
	if (k) {
		take_place(k, source);
		k->peer = p->now;
	}
	return REASON_NONE;
}

/* Take down return-to-sender, which is at `off`. */
static __always_inline enum reason take_rts(struct packet *p, __u32 off,
					    const struct option_rts *rts)
{
	p->option = off;
	p->critical = !!(rts->option.type & OPTION_CRITICAL);
	p->hops = rts->hops;
	p->sender = rts->host;
	if (rts->hops > RTS_HOPS || address_is_bad(&p->sender) || address_is_multicast(&p->sender))
		return DROP_OPTION_RTS;
	return REASON_NONE;
}

static __always_inline bool is_rts(const struct geneve_option *o, __be16 class)
{
	return o->class == class && (o->type & ~OPTION_CRITICAL) == OPTION_RTS;
}

/* Return-to-sender among other options, at `off`. Not in their loop, where the verifier looks at it for each. */
__noinline int option_rts(ctx_t *ctx, __u32 off)
{
	__u32 zero = 0;
	struct packet *p = bpf_map_lookup_elem(&scratch, &zero);
	struct option_rts rts;

	if (!p || p->option || off + sizeof(rts) > p->end || ctx_load(ctx, off, &rts, sizeof(rts)))
		return DROP_OPTION_RTS;
	return take_rts(p, off, &rts);
}

/* Options from `off` to `end`, any. For the verifier a function by itself: few packets have others than ours. */
__noinline int outer_options(ctx_t *ctx, __u32 off, __u32 end, __u32 class)
{
	__u32 zero = 0, next;
	struct packet *p = bpf_map_lookup_elem(&scratch, &zero);
	struct geneve_option o;
	enum reason r;

	if (!p)
		return DROP_OUTER_SHORT;
	for (int i = 0; i < OPTIONS_MAX; i++) {
		if (off >= end)
			break;
		/* In whole words, so that a header always fits. */
		if (ctx_load(ctx, off & 0x7ff, &o, sizeof(o)))
			return DROP_OUTER_SHORT;
		next = off + sizeof(o) + (o.length & OPTION_LENGTH) * 4;
		if (next > end)
			return DROP_OPTION_LENGTH;
		if (is_rts(&o, class)) {
			if ((o.length & OPTION_LENGTH) != RTS_WORDS - 1)
				return DROP_OPTION_RTS;
			r = option_rts(ctx, off & 0x7ff);
			if (r)
				return r;
		} else if (o.type & OPTION_CRITICAL) {
			return DROP_OPTION_CRITICAL;
		}
		off = next;
	}
	return REASON_NONE;
}

static __always_inline enum reason outer_geneve(ctx_t *ctx, struct packet *p,
						const struct settings *s)
{
	struct geneve *g = AT(ctx, p->geneve, struct geneve);
	__be16 class = bpf_htons(s->option_class);
	const struct option_rts *rts;
	__u32 length, options;

	if (!g || p->geneve + sizeof(*g) > p->end)
		return DROP_OUTER_SHORT;
	if (g->version_length & GENEVE_VERSION)
		return DROP_GENEVE_VERSION;
	if (g->flags & GENEVE_CONTROL)
		return DROP_GENEVE_CONTROL;
	if (g->protocol != bpf_htons(ETH_P_TEB))
		return DROP_GENEVE_PROTOCOL;
	p->vni = bpf_ntohl(g->vni) >> 8;
	length = (g->version_length & GENEVE_LENGTH) * 4;
	p->eth = p->geneve + sizeof(*g) + length;
	if (p->eth > p->end)
		return DROP_OUTER_SHORT;
	p->outer = p->eth - ETH_HLEN;
	if (!length)
		return REASON_NONE;
	options = p->geneve + sizeof(*g);
	/* Nothing else, as we write it: mostly so, and in one piece. */
	rts = length == sizeof(*rts) ? AT(ctx, options, struct option_rts) : NULL;
	if (rts && is_rts(&rts->option, class) &&
	    (rts->option.length & OPTION_LENGTH) == RTS_WORDS - 1)
		return take_rts(p, options, rts);
	return outer_options(ctx, options, p->eth, class);
}

/* Sent to what the droplet itself sends from: mostly so, which spares a look into the table. */
static __always_inline bool is_source_of(const struct droplet *d, const struct packet *p)
{
	const struct address *a = p->outer_v6 ? &d->source6 : &d->source4;

	return !address_is_zero(a) && address_equal(a, &p->outer_destination);
}

/* Everything up to the inner frame, for a droplet. */
static __always_inline enum reason parse_outer(ctx_t *ctx, struct packet *p,
					       const struct settings *s, const struct droplet *d)
{
	struct ethhdr *eth = AT(ctx, 0, struct ethhdr);
	struct udphdr *udp;
	enum reason r;
	__u16 tci;
	__be16 proto;
	__u32 udp_end;

	if (!eth || ctx_tag(ctx, &tci, &proto))
		return REASON_PASS; /* a VLAN's packet: the droplet would be the VLAN's device */
	if (eth->h_proto == bpf_htons(ETH_P_IP))
		r = outer_ipv4(ctx, p);
	else if (eth->h_proto == bpf_htons(ETH_P_IPV6))
		r = outer_ipv6(ctx, p);
	else
		r = REASON_PASS;
	if (r)
		return r;
	udp = AT(ctx, p->l4, struct udphdr);
	if (!udp || udp->dest != bpf_htons(s->port))
		return REASON_PASS;
	if (!is_source_of(d, p) && !is_own(&p->outer_destination))
		return REASON_PASS;

	/* Ours. From here on it is parsed whole, or dropped. */
	p->sport = bpf_ntohs(udp->source);
	if (p->fragment)
		return DROP_OUTER_FRAGMENT;
	udp_end = p->l4 + bpf_ntohs(udp->len);
	if (p->segment)
		udp_end = p->end;
	if (p->end > p->length || udp_end > p->end || udp_end < p->l4 + sizeof(*udp))
		return DROP_OUTER_LENGTH;
	p->end = udp_end;
	p->outer_end = udp_end;
	r = check_source(p);
	if (r)
		return r;
	p->geneve = p->l4 + sizeof(*udp);
	return outer_geneve(ctx, p, s);
}

#endif
