/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The transit program: every packet that enters a droplet, and what agents tail-call for local delivery. */
#ifndef MIZAR_TRANSIT_H
#define MIZAR_TRANSIT_H

#include "deliver.h"
#include "learn.h"
#include "stage.h"
#include "verdict.h"

#define OUTER_LINEAR (ETH_HLEN + 60 + 8 + 8)
#define INNER_LINEAR (ETH_HLEN + 4 + 40)
#define HEADERS_MAX 512

/* `need` bytes from the start have to be in one piece, or all. XDP cannot do that: tcx behind it can. */
static __always_inline enum reason in_one_piece(ctx_t *ctx, const struct packet *p, __u32 need,
						int *act)
{
	__u32 linear = ctx_end(ctx) - ctx_data(ctx);

	if (linear >= p->length || (linear >= need && ctx_sends_frags()) ||
	    ctx_pull(ctx, HEADERS_MAX))
		return REASON_NONE;
	return CTX_XDP ? pass(ctx, REASON_TO_TCX, act) : DROP_MODIFY; /* no memory */
}

static __always_inline void count_taken(const struct droplet *d, __u32 length)
{
	__u32 slot = d->traffic;
	struct traffic *t = bpf_map_lookup_elem(&traffic, &slot);

	if (t) {
		t->rx_packets++;
		t->rx_bytes += length;
	}
}

/* What return-to-sender says when the packet leaves. */
struct relabel {
	bool insert; /* there was none */
	bool rename; /* it names this host now */
	bool critical;
	__u8 hops;
};

/* Send the tunnel packet on to `host`, with new outer headers. Options of others stay as they are. */
static __always_inline enum reason send_on(ctx_t *ctx, struct packet *p, const struct settings *s,
					   const struct address *host, const struct address *source,
					   const struct relabel *label, int *act)
{
	struct geneve *g;
	struct front f = { .destination = host, .sport = p->sport, .tos = p->outer_tos };
	__u32 base, room = label->insert ? sizeof(struct option_rts) : 0;
	const struct known_host *way;
	const struct hop *h;
	enum reason r;
	int delta;

	r = next_hop(ctx, p, host, &way);
	if (r)
		return r;
	h = &way->hop;
	f.source = source ? source : &h->source;
	base = ETH_HLEN + ip_length(h->v6) + sizeof(struct udphdr);
	delta = (int)(base + room) - (int)p->geneve;
	f.length = p->outer_end + delta - ETH_HLEN;
	if ((p->segment ? inner_size(ctx, p) + p->l3 - ETH_HLEN + delta : f.length) > way->mtu) {
		/* The sender's host wrote a packet of this size to us: tell it what the way takes. */
		return reply_too_big(ctx, ETH_HLEN, p->outer_v6, way->mtu - (delta > 0 ? delta : 0),
				     act);
	}
	if (ctx_resize(ctx, delta, h->v6))
		return DROP_MODIFY;
	r = write_front(ctx, s, h, &f);
	if (r)
		return r;
	g = AT(ctx, base, struct geneve);
	if (!g)
		return DROP_MODIFY;
	if (label->insert) {
		__u32 words = (p->eth - p->geneve - sizeof(*g)) / 4 + RTS_WORDS;

		fill_geneve(g, p->vni, words, label->critical);
	} else {
		g->flags = label->critical ? g->flags | GENEVE_CRITICAL
					   : g->flags & ~GENEVE_CRITICAL;
	}
	if (label->insert || label->rename) {
		__u32 off = label->insert ? base + sizeof(*g) : p->option + delta;
		struct option_rts *o = AT(ctx, off, struct option_rts);

		if (!o)
			return DROP_MODIFY;
		fill_rts(o, s, f.source, label->hops, label->critical);
	} else {
		struct option_rts *o = AT(ctx, p->option + delta, struct option_rts);

		if (!o)
			return DROP_MODIFY;
		o->hops = label->hops;
	}
	r = send_out(ctx, p, h, act);
	if (!r)
		count_sent(h, f.length + ETH_HLEN);
	return r;
}

/* Steps 4 to 6: to a host that knows more, or the most: p->next. */
static __always_inline enum reason forward(ctx_t *ctx, struct packet *p, const struct settings *s,
					   int *act)
{
	struct relabel label = {};
	enum reason r;

	if (!p->hops)
		return DROP_HOPS;
	if (address_equal(&p->next, &p->outer_source))
		return DROP_LOOP;
	label.hops = p->hops - 1;
	r = send_on(ctx, p, s, &p->next, NULL, &label, act);
	return r ? r : p->why;
}

/* Step 3: to an endpoint here. */
static __always_inline enum reason deliver_here(ctx_t *ctx, struct packet *p,
						const struct settings *s, const struct endpoint *ep,
						int *act)
{
	enum reason r;

	p->to = ep->ifindex;
	p->whole = ep->kind == ENDPOINT_FUNCTION;
	r = run_stage(ctx, s, STAGE_DELIVER);
	return r ? r : deliver_tunnel(ctx, p, act);
}

/* Straight to us, but not here: back once, so that the sender forgets. */
static __always_inline enum reason send_back(ctx_t *ctx, struct packet *p, const struct settings *s,
					     int *act)
{
	struct relabel label = { .insert = true, .critical = true, .hops = RTS_HOPS };
	enum reason r;

	if ((p->eth - p->geneve - sizeof(struct geneve)) / 4 + RTS_WORDS > OPTIONS_MAX)
		return DROP_OPTION_LENGTH;
	r = send_on(ctx, p, s, &p->outer_source, &p->outer_destination, &label, act);
	return r ? r : REASON_RETURN;
}

/* A packet of an endpoint here came back: the learned host was wrong. By a bouncer, then. */
static __always_inline enum reason came_back(ctx_t *ctx, struct packet *p, const struct settings *s,
					     int *act)
{
	struct relabel label = { .rename = true, .hops = RTS_HOPS };
	struct endpoint_key key = { .vni = p->vni, .addr = p->source };
	const struct endpoint *ep;
	const struct network *net;
	bool sent;
	enum reason r;

	if (!address_equal(&p->sender, &p->outer_source))
		return DROP_RETURN;
	ep = find_endpoint(&key, &net);
	if (!ep || !ep->ifindex)
		return DROP_RETURN;
	key.addr = p->destination;
	sent = forget(s, &key, &p->sender);
	ep = find_endpoint(&key, &net);
	if (net && net->kind == NETWORK_ENDPOINT)
		sent |= forget(s, &key, &p->sender);
	if (!sent)
		return DROP_RETURN; /* a host could forge any of ours as the sender */
	if (ep && ep->ifindex)
		return deliver_here(ctx, p, s, ep, act); /* it moved to this host */
	if (ep && !address_equal(&ep->host, &p->sender)) {
		p->next = ep->host;
	} else {
		p->hash = flow_hash(ctx, p);
		r = relay_sent(p, net, &p->next);
		if (r >= REASON_DROP_FIRST)
			return r;
	}
	r = send_on(ctx, p, s, &p->next, NULL, &label, act);
	return r ? r : REASON_REROUTE;
}

/* Send an answer that was written over the inner frame back to the host that asked. */
static __always_inline enum reason send_answer(ctx_t *ctx, struct packet *p,
					       const struct settings *s, int *act)
{
	struct front f = {
		.source = &p->outer_destination,
		.destination = &p->outer_source,
		.sport = p->sport,
	};
	const struct known_host *way;
	const struct hop *h;
	enum reason r;

	if (p->geneve != ETH_HLEN + ip_length(p->outer_v6) + sizeof(struct udphdr))
		return DROP_UNSUPPORTED; /* IP options */
	f.length = ctx_len(ctx) - ETH_HLEN;
	r = next_hop(ctx, p, &p->outer_source, &way);
	if (r)
		return r;
	h = &way->hop;
	r = write_front(ctx, s, h, &f);
	if (r)
		return r;
	r = send_out(ctx, p, h, act);
	if (r)
		return r;
	count_sent(h, f.length + ETH_HLEN);
	return REASON_ANSWER;
}

/* The local endpoint that has p->destination, for an answer in its name. */
static __always_inline const struct agent *asked_for(const struct packet *p)
{
	struct endpoint_key key = { .vni = p->vni, .addr = p->destination };
	const struct endpoint *ep = bpf_map_lookup_elem(&endpoints, &key);

	return ep && ep->ifindex ? find_agent(p, ep->ifindex) : NULL;
}

/* A plain Geneve peer asks for an endpoint's MAC; agents never do. */
static __always_inline enum reason transit_arp(ctx_t *ctx, struct packet *p,
					       const struct settings *s, int *act)
{
	const struct agent *a;
	struct arp arp;
	__u8 mac[6];
	enum reason r = parse_arp(ctx, p, &arp);

	if (r)
		return r;
	if (arp.op != bpf_htons(ARP_REQUEST) || p->option)
		return DROP_NEIGHBOUR_UNUSED;
	a = asked_for(p);
	if (!a)
		return DROP_NO_ENDPOINT;
	__builtin_memcpy(mac, a->mac, 6);
	r = answer_arp(ctx, p, &arp, mac);
	return r ? r : send_answer(ctx, p, s, act);
}

static __always_inline enum reason transit_nd(ctx_t *ctx, struct packet *p,
					      const struct settings *s, __u8 type, int *act)
{
	const struct agent *a;
	struct nd nd;
	__u8 mac[6];
	enum reason r;

	if (type == ND_ROUTER_ADVERT || type == ND_REDIRECT)
		return DROP_ROUTER_ADVERT;
	if (type != ND_SOLICIT || p->option)
		return DROP_NEIGHBOUR_UNUSED;
	r = parse_nd(ctx, p, &nd, NULL);
	if (r)
		return r;
	p->destination = nd.target;
	a = asked_for(p);
	if (!a)
		return DROP_NO_ENDPOINT;
	__builtin_memcpy(mac, a->mac, 6);
	r = answer_nd(ctx, p, &nd, mac);
	return r ? r : send_answer(ctx, p, s, act);
}

/* Steps 3 to 7. */
static __always_inline enum reason transit_route(ctx_t *ctx, struct packet *p,
						 const struct settings *s, int *act)
{
	struct endpoint_key key = { .vni = p->vni, .addr = p->destination };
	const struct network *net;
	const struct endpoint *ep;
	enum reason r;

	if (p->critical)
		return came_back(ctx, p, s, act);
	ep = find_endpoint(&key, &net);
	if (ep && ep->kind != ENDPOINT_SIMPLE && ep->kind != ENDPOINT_FUNCTION)
		return DROP_KIND;
	if (ep && ep->ifindex) {
		r = check_and_learn(p);
		return r ? r : deliver_here(ctx, p, s, ep, act);
	}
	if (net && net->kind == NETWORK_BLACKHOLE)
		return DROP_BLACKHOLE;
	if (!p->option)
		return send_back(ctx, p, s, act);
	r = REASON_BOUNCE;
	if (ep)
		p->next = ep->host;
	else
		r = relay(p->vni, net, flow_hash(ctx, p), &p->next);
	if (r >= REASON_DROP_FIRST)
		return r;
	p->why = r;
	r = run_stage(ctx, s, STAGE_FORWARD);
	return r ? r : forward(ctx, p, s, act);
}

static __always_inline enum reason transit_droplet(ctx_t *ctx, struct packet *p,
						   const struct settings *s,
						   const struct droplet *d, int *act)
{
	enum reason r;
	__u8 type;

	r = in_one_piece(ctx, p, OUTER_LINEAR, act);
	if (r)
		return r;
	r = parse_outer(ctx, p, s, d);
	if (r == REASON_PASS) {
		underlay_icmp(ctx, p, s);
		return pass(ctx, r, act);
	}
	if (r)
		return r;
	r = in_one_piece(ctx, p, p->eth + INNER_LINEAR, act);
	if (r)
		return r;
	count_taken(d, p->length);
	r = parse_inner(ctx, p);
	if (r)
		return r;
	if (p->ethertype == bpf_htons(ETH_P_ARP))
		return transit_arp(ctx, p, s, act);
	r = discovery_type(ctx, p, &type);
	if (r)
		return r;
	if (type)
		return transit_nd(ctx, p, s, type, act);
	r = check_addresses(p);
	if (r)
		return r;
	r = run_stage(ctx, s, STAGE_PARSE);
	return r ? r : transit_route(ctx, p, s, act);
}

/* By tail call from an agent, which has checked the sender: both ends are here. */
static __always_inline enum reason transit_local(ctx_t *ctx, struct packet *p,
						 const struct settings *s, const struct agent *from,
						 int *act)
{
	struct endpoint_key key = { .vni = from->vni };
	const struct network *net;
	const struct endpoint *ep;
	enum reason r;

	p->vni = from->vni;
	p->from = ctx_ifindex(ctx);
	r = parse_inner(ctx, p);
	if (r)
		return r;
	key.addr = p->destination;
	ep = find_endpoint(&key, &net);
	if (!ep || !ep->ifindex)
		return DROP_NO_ENDPOINT;
	p->to = ep->ifindex;
	p->whole = ep->kind == ENDPOINT_FUNCTION;
	r = run_stage(ctx, s, STAGE_DELIVER);
	return r ? r : deliver_local(ctx, p, act);
}

static __always_inline enum reason transit_any(ctx_t *ctx, struct packet *p, int *act)
{
	__u32 zero = 0, ifindex = ctx_ifindex(ctx);
	const struct settings *s = bpf_map_lookup_elem(&settings, &zero);
	const struct known_interface *k = find_interface(p, ifindex);

	*act = CTX_PASS;
	if (!s || !k)
		return REASON_PASS;
	if (k->is_droplet)
		return transit_droplet(ctx, p, s, &k->droplet, act);
	if (k->is_agent)
		return transit_local(ctx, p, s, &k->agent, act);
	return REASON_PASS; /* a droplet whose row is not there yet, or gone */
}

/* The functions of a stage are through with a packet. Nobody else calls this. */
static __always_inline enum reason transit_again(ctx_t *ctx, struct packet *p, int *act)
{
	__u32 zero = 0;
	const struct settings *s = bpf_map_lookup_elem(&settings, &zero);
	enum reason r = end_stage(ctx, p, act);

	if (r || !s)
		return r ? r : DROP_FUNCTION;
	switch (p->stage) {
	case STAGE_PARSE:
		return transit_route(ctx, p, s, act);
	case STAGE_DELIVER:
		return p->geneve ? deliver_tunnel(ctx, p, act) : deliver_local(ctx, p, act);
	case STAGE_FORWARD:
		return forward(ctx, p, s, act);
	default:
		return DROP_FUNCTION;
	}
}

#endif
