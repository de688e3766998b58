/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The agent program: every packet that an endpoint sends. Nothing of it reaches the host's stack. */
#ifndef MIZAR_AGENT_H
#define MIZAR_AGENT_H

#include "icmp.h"
#include "inner.h"
#include "learn.h"
#include "stage.h"
#include "transit.h"

/* Slot 0: transit. Each load has its own array, filled before the agent is attached. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} programs SEC(".maps");

static __always_inline bool is_own_address(const struct agent *a, __u32 ifindex,
					   const struct address *addr)
{
	struct endpoint_key key = { .vni = a->vni, .addr = *addr };
	const struct endpoint *ep = bpf_map_lookup_elem(&endpoints, &key);

	return ep && ep->ifindex == ifindex;
}

/* An address of the endpoint, or of a prefix that it may send from. */
static __always_inline bool may_send_from(const struct agent *a, __u32 ifindex,
					  const struct address *addr)
{
	struct allowed_key key = { .prefixlen = 160, .ifindex = bpf_htonl(ifindex), .addr = *addr };

	if (is_own_address(a, ifindex, addr))
		return true;
	return (a->flags & AGENT_ALLOWED) && bpf_map_lookup_elem(&allowed, &key);
}

static __always_inline enum reason agent_arp(ctx_t *ctx, struct packet *p, const struct agent *a,
					     __u32 ifindex, int *act)
{
	struct arp arp;
	bool probe;
	enum reason r = parse_arp(ctx, p, &arp);

	if (r)
		return r;
	probe = arp.sender == 0 && arp.op == bpf_htons(ARP_REQUEST);
	if (!mac_equal(arp.sender_mac, a->mac) ||
	    (!probe && !may_send_from(a, ifindex, &p->source)))
		return DROP_SPOOF_NEIGHBOUR;
	if (arp.op != bpf_htons(ARP_REQUEST) || arp.sender == arp.target ||
	    is_own_address(a, ifindex, &p->destination))
		return DROP_NEIGHBOUR_UNUSED;
	r = answer_arp(ctx, p, &arp, virtual_mac);
	if (r)
		return r;
	*act = ctx_reflect(ctx);
	return REASON_ANSWER;
}

static __always_inline bool is_link_local(const struct address *a)
{
	return a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80;
}

static __always_inline enum reason agent_nd(ctx_t *ctx, struct packet *p, const struct agent *a,
					    __u32 ifindex, __u8 type, int *act)
{
	struct nd nd;
	enum reason r;

	if (type == ND_ROUTER_ADVERT || type == ND_REDIRECT)
		return DROP_ROUTER_ADVERT;
	if (type == ND_ROUTER_SOLICIT)
		return DROP_NEIGHBOUR_UNUSED;
	r = parse_nd(ctx, p, &nd, a->mac);
	if (r)
		return r;
	if (!address_is_zero(&p->source) && !is_link_local(&p->source) &&
	    !may_send_from(a, ifindex, &p->source))
		return DROP_SPOOF_NEIGHBOUR;
	if (type == ND_ADVERT) {
		if (!is_link_local(&nd.target) && !may_send_from(a, ifindex, &nd.target))
			return DROP_SPOOF_NEIGHBOUR;
		return DROP_NEIGHBOUR_UNUSED;
	}
	/* Link-local addresses do not cross: an answer would only spoil the endpoint's own. */
	if (is_link_local(&nd.target) || is_own_address(a, ifindex, &nd.target))
		return DROP_NEIGHBOUR_UNUSED;
	r = answer_nd(ctx, p, &nd, virtual_mac);
	if (r)
		return r;
	*act = ctx_reflect(ctx);
	return REASON_ANSWER;
}

static __always_inline void count_accepted(const struct agent *a, __u32 length)
{
	__u32 slot = a->traffic;
	struct traffic *t = bpf_map_lookup_elem(&traffic, &slot);

	if (t) {
		t->tx_packets++;
		t->tx_bytes += length;
	}
}

/* Step 6: does it fit the way to `host`? Then encapsulate. */
static __always_inline enum reason agent_send(ctx_t *ctx, struct packet *p,
					      const struct settings *s, const struct agent *a,
					      const struct address *host, const __u8 *dst_mac,
					      enum reason why, int *act)
{
	bool rts = why != REASON_SEND_DIRECT;
	__u32 overhead, l2 = p->tagged ? ETH_HLEN + 4 : ETH_HLEN;
	const struct known_host *way;
	enum reason r;

	r = next_hop(ctx, p, host, &way);
	if (r)
		return r;
	overhead = outer_length(way->hop.v6, rts) + l2;
	if (inner_size(ctx, p) + overhead > way->mtu)
		return answer_too_big(ctx, p, way->mtu - overhead, act);
	r = encapsulate(ctx, p, s, &way->hop, host, a->mac, dst_mac, rts, p->length, act);
	return r ? r : why;
}

/* Steps 3 to 5. */
static __always_inline enum reason
agent_route(ctx_t *ctx, struct packet *p, const struct settings *s, const struct agent *a, int *act)
{
	struct endpoint_key key = { .vni = a->vni, .addr = p->destination };
	const struct network *net = NULL;
	const struct endpoint *ep;
	const struct direct *d = NULL;
	struct address host;
	__u8 mac[6] = VIRTUAL_MAC;
	enum reason r = REASON_SEND_DIRECT;

	ep = bpf_map_lookup_elem(&endpoints, &key);
	if (!ep)
		d = find_direct(s, &key);
	if (!ep && !d) {
		ep = find_endpoint(&key, &net);
		if (!ep && net && net->kind == NETWORK_ENDPOINT)
			d = find_direct(s, &key);
	}
	if (ep) {
		if (ep->kind != ENDPOINT_SIMPLE && ep->kind != ENDPOINT_FUNCTION)
			return DROP_KIND;
		if (ep->ifindex) {
			bpf_tail_call(ctx, &programs, 0);
			return DROP_NO_TRANSIT;
		}
		host = ep->host;
		if (!mac_is_zero(ep->mac))
			__builtin_memcpy(mac, ep->mac, 6);
	} else if (d) {
		host = d->host;
	} else {
		r = relay_sent(p, net, &host);
		if (r >= REASON_DROP_FIRST)
			return r;
		r = r == REASON_DIVIDE_VPC ? REASON_SEND_DIVIDER : REASON_SEND_BOUNCER;
	}
	return agent_send(ctx, p, s, a, &host, mac, r, act);
}

static __always_inline enum reason agent_any(ctx_t *ctx, struct packet *p, int *act)
{
	__u32 zero = 0, ifindex = ctx_ifindex(ctx);
	const struct settings *s = bpf_map_lookup_elem(&settings, &zero);
	struct known_interface *k = find_interface(p, ifindex);
	const struct agent *a;
	struct ethhdr *eth;
	enum reason r;
	__u8 type;

	if (!s || !k || !k->is_agent)
		return DROP_NO_AGENT;
	a = &k->agent;
	p->vni = a->vni;
	p->from = ifindex;
	r = in_one_piece(ctx, p, INNER_LINEAR, act);
	if (r)
		return r;
	r = parse_inner(ctx, p);
	if (r)
		return r;
	eth = AT(ctx, 0, struct ethhdr);
	if (!eth || !mac_equal(eth->h_source, a->mac))
		return DROP_SPOOF_MAC;
	if (p->ethertype == bpf_htons(ETH_P_ARP))
		return agent_arp(ctx, p, a, ifindex, act);
	r = discovery_type(ctx, p, &type);
	if (r)
		return r;
	if (type)
		return agent_nd(ctx, p, a, ifindex, type, act);
	if (eth->h_dest[0] & 1)
		return DROP_MULTICAST;
	r = check_addresses(p);
	if (r)
		return r;
	if (!(is_fresh(p, &k->sent) && address_equal(&k->source, &p->source))) {
		if (!may_send_from(a, ifindex, &p->source))
			return DROP_SPOOF_ADDRESS;
		k->sent = p->now;
		k->source = p->source;
	}
	count_accepted(a, p->length);
	p->hash = flow_hash(ctx, p);
	r = run_stage(ctx, s, STAGE_SEND);
	return r ? r : agent_route(ctx, p, s, a, act);
}

/* The functions of a stage are through with a packet. Nobody else calls this. */
static __always_inline enum reason agent_again(ctx_t *ctx, struct packet *p, int *act)
{
	__u32 zero = 0;
	const struct settings *s = bpf_map_lookup_elem(&settings, &zero);
	enum reason r = end_stage(ctx, p, act);
	const struct agent *a;

	if (r || !s)
		return r ? r : DROP_FUNCTION;
	a = find_agent(p, p->from);
	return a && p->stage == STAGE_SEND ? agent_route(ctx, p, s, a, act) : DROP_NO_AGENT;
}

#endif
