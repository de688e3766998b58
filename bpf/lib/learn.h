/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The direct path: who taught us where an endpoint lives, and whom we believe. */
#ifndef MIZAR_LEARN_H
#define MIZAR_LEARN_H

#include "known.h"
#include "outer.h"
#include "select.h"

#define NS_PER_SECOND 1000000000ULL

/* The outer source is a host that may relay in this VPC: of either network's bouncers, or a divider. */
static __always_inline bool is_relay(const struct packet *p, const struct network *from)
{
	const struct network *to = find_network(p->vni, &p->destination);
	const struct vpc *v = find_vpc(p->vni);

	return (to && to->kind == NETWORK_BOUNCERS && set_has_outer_source(to->set)) ||
	       (from && from->kind == NETWORK_BOUNCERS && set_has_outer_source(from->set)) ||
	       (v && v->set && set_has_outer_source(v->set));
}

/*
 * A tunnel packet for a local endpoint arrived. If the tables say where its source lives, it has to
 * come from there; else remember the host.
 */
__noinline int look_and_learn(void)
{
	__u32 zero = 0;
	const struct packet *p = bpf_map_lookup_elem(&scratch, &zero);
	const struct network *net = NULL;
	struct endpoint_key key = {};
	const struct address *host;
	const struct endpoint *ep;
	bool relayed;
	const struct direct *d;
	const struct vpc *v;
	struct direct fresh;
	__u64 now;

	if (!p)
		return DROP_SOURCE_HOST;
	key.vni = p->vni;
	key.addr = p->source;
	host = p->option ? &p->sender : &p->outer_source;
	relayed = p->option && !address_equal(&p->sender, &p->outer_source);
	now = bpf_ktime_get_coarse_ns();
	ep = bpf_map_lookup_elem(&endpoints, &key);
	if (!ep) {
		d = bpf_map_lookup_elem(&directs, &key);
		if (d && !(d->flags & DIRECT_GONE) && address_equal(&d->host, host) &&
		    now - d->seen < NS_PER_SECOND) {
			v = find_vpc(p->vni);
			if (v && d->generation == v->generation)
				return REASON_NONE;
		}
		net = find_network(p->vni, &p->source);
		if (net && net->kind == NETWORK_ENDPOINT) {
			key.addr = net->via;
			ep = bpf_map_lookup_elem(&endpoints, &key);
		}
	}
	if (ep) {
		if (ep->ifindex || !address_equal(&ep->host, host))
			return DROP_SOURCE_HOST;
		return !relayed || is_relay(p, net ? net : find_network(p->vni, &p->source))
			       ? REASON_NONE
			       : DROP_SOURCE_HOST;
	}
	v = find_vpc(p->vni);
	if (!v || (v->flags & VPC_NO_DIRECT))
		return REASON_NONE;
	if (net && ((net->flags & NETWORK_NO_DIRECT) || net->kind == NETWORK_BLACKHOLE))
		return REASON_NONE;
	if (relayed && (!is_peer(host) || is_own(host) || !is_relay(p, net)))
		return REASON_NONE;
	__builtin_memset(&fresh, 0, sizeof(fresh));
	fresh.host = *host;
	fresh.generation = v->generation;
	fresh.seen = now;
	bpf_map_update_elem(&directs, &key, &fresh, BPF_ANY);
	return REASON_NONE;
}

/* The same, and once a moment for what comes straight from its host: that asks for nothing else. */
static __always_inline enum reason check_and_learn(const struct packet *p)
{
	struct known_source *k = NULL;
	enum reason r;

	if (!p->option || address_equal(&p->sender, &p->outer_source))
		k = source_place(p);
	if (k && is_fresh(p, &k->stamp) && k->vni == p->vni &&
	    address_equal(&k->source, &p->source) && address_equal(&k->host, &p->outer_source))
		return REASON_NONE;
	r = look_and_learn();
	if (r || !k)
		return r;
	k->stamp = p->now;
	k->vni = p->vni;
	k->source = p->source;
	k->host = p->outer_source;
	return REASON_NONE;
}

/* The learned host of an endpoint, if it is still believed. */
static __always_inline const struct direct *find_direct(const struct settings *s,
							const struct endpoint_key *key)
{
	const struct direct *d = bpf_map_lookup_elem(&directs, key);
	const struct vpc *v;

	if (!d || (d->flags & DIRECT_GONE) ||
	    (__s64)(bpf_ktime_get_coarse_ns() - d->seen) > (__s64)s->direct_age_ns)
		return NULL;
	v = find_vpc(key->vni);
	if (!v || v->generation != d->generation || (v->flags & VPC_NO_DIRECT))
		return NULL;
	return d;
}

/*
 * `host` returns what was sent straight to an endpoint: it is not there. True if we may have sent it. What
 * was learned is void then, but stays: more may be under way.
 */
static __always_inline bool forget(const struct settings *s, const struct endpoint_key *key,
				   const struct address *host)
{
	const struct endpoint *ep = bpf_map_lookup_elem(&endpoints, key);
	struct direct *d = bpf_map_lookup_elem(&directs, key);
	const struct vpc *v = find_vpc(key->vni);

	if (d && v && d->generation == v->generation && address_equal(&d->host, host) &&
	    (__s64)(bpf_ktime_get_coarse_ns() - d->seen) <= (__s64)s->direct_age_ns) {
		d->flags = DIRECT_GONE;
		return true;
	}
	return ep && address_equal(&ep->host, host);
}

#endif
