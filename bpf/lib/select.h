/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where a destination lives, and who may know where the tables do not. */
#ifndef MIZAR_SELECT_H
#define MIZAR_SELECT_H

#include "address.h"
#include "packet.h"

static __always_inline const struct network *find_network(__u32 vni, const struct address *a)
{
	struct network_key key = { .prefixlen = 160, .vni = bpf_htonl(vni), .addr = *a };
	const struct network *n = bpf_map_lookup_elem(&networks, &key);

	return n && n->vni == vni ? n : NULL;
}

static __always_inline const struct vpc *find_vpc(__u32 vni)
{
	const struct vpc *v = bpf_map_lookup_elem(&vpcs, &vni);

	return v && v->vni == vni ? v : NULL;
}

/*
 * The endpoint that takes what is for `key`; by a network's route where it is no endpoint's own. Then
 * key->addr becomes the endpoint's. `net` is what was found of the network on the way.
 */
static __always_inline const struct endpoint *find_endpoint(struct endpoint_key *key,
							    const struct network **net)
{
	const struct endpoint *ep = bpf_map_lookup_elem(&endpoints, key);

	*net = NULL;
	if (ep)
		return ep;
	*net = find_network(key->vni, &key->addr);
	if (!*net || (*net)->kind != NETWORK_ENDPOINT)
		return NULL;
	key->addr = (*net)->via;
	return bpf_map_lookup_elem(&endpoints, key);
}

/* REASON_NONE: `host` is a member. SET_SELF gives `self`. */
static __always_inline enum reason select_host(__u32 id, __u32 hash, enum reason self,
					       struct address *host)
{
	const struct set *s = bpf_map_lookup_elem(&sets, &id);
	__u32 slot = ((__u64)hash * SET_SLOTS) >> 32;
	__u32 i;

	barrier_var(slot); /* what is compared is what is used, for the verifier of 6.1 */
	if (!s || !s->count || slot >= SET_SLOTS)
		return DROP_SET;
	if (s->flags & SET_SELF)
		return self;
	i = s->slots[slot];
	if (i >= SET_MEMBERS)
		return DROP_SET;
	*host = s->members[i];
	return REASON_NONE;
}

/* The outer source is a member. The verifier looks at this once, by itself: it takes long. */
__noinline int set_has_outer_source(__u32 id)
{
	__u32 zero = 0;
	const struct packet *p = bpf_map_lookup_elem(&scratch, &zero);
	const struct set *s = bpf_map_lookup_elem(&sets, &id);

	if (!p || !s)
		return false;
	for (__u32 i = 0; i < SET_MEMBERS; i++) {
		if (i >= s->count)
			break;
		if (address_equal(&s->members[i], &p->outer_source))
			return true;
	}
	return false;
}

/*
 * The tables name no host for the destination: a bouncer of its network, else a divider of the VPC.
 * A bouncer that does not know asks nobody, nor does a divider.
 */
static __always_inline enum reason relay(__u32 vni, const struct network *net, __u32 hash,
					 struct address *host)
{
	const struct vpc *v;
	enum reason r;

	if (net && net->kind == NETWORK_ENDPOINT) {
		struct address via = net->via;

		net = find_network(vni, &via);
		if (net && net->kind == NETWORK_ENDPOINT)
			return DROP_NO_ENDPOINT; /* a route to a route */
	}
	if (net) {
		if (net->kind == NETWORK_BLACKHOLE)
			return DROP_BLACKHOLE;
		if (net->kind != NETWORK_BOUNCERS)
			return DROP_KIND;
		r = select_host(net->set, hash, DROP_NO_ENDPOINT, host);
		return r ? r : REASON_DIVIDE_NETWORK;
	}
	v = find_vpc(vni);
	if (!v)
		return DROP_NO_VPC;
	if (!v->set)
		return DROP_NO_NETWORK;
	r = select_host(v->set, hash, DROP_NO_NETWORK, host);
	return r ? r : REASON_DIVIDE_VPC;
}

/* The same for what an endpoint here sends: its own network's bouncer may know more than a divider. */
static __always_inline enum reason relay_sent(const struct packet *p, const struct network *net,
					      struct address *host)
{
	const struct network *own;
	enum reason r;

	if (net)
		return relay(p->vni, net, p->hash, host);
	own = find_network(p->vni, &p->source);
	if (own && own->kind == NETWORK_BOUNCERS) {
		r = select_host(own->set, p->hash, REASON_PASS, host);
		if (r != REASON_PASS)
			return r ? r : REASON_DIVIDE_NETWORK;
		/* This host is that bouncer: its next step is a divider. */
	}
	return relay(p->vni, NULL, p->hash, host);
}

#endif
