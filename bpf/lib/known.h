/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What this CPU looked up a moment ago. A look into a hash is five calls of the kernel's functions, 35 ns
 * where each return is guarded (seen on 6.18); a look into an array is none. What is kept here is void as
 * soon as user space changes a table that it is of, or a path's MTU is learned: then the epoch is another.
 * It is void after some ticks, too, whoever forgot to say so.
 */
#ifndef MIZAR_KNOWN_H
#define MIZAR_KNOWN_H

#include "address.h"
#include "packet.h"

#define KNOWN_TICKS 5 /* of the kernel's timer: 5 to 50 ms */
#define KNOWN_INTERFACES 512
#define KNOWN_HOSTS_BITS 8
#define KNOWN_SOURCES_BITS 9
#define KNOWN_CHAINS_BITS 8

struct known_interface {
	struct stamp stamp;
	__u32 ifindex;
	__u8 is_droplet;
	__u8 is_agent;
	__u8 pad[2];
	struct droplet droplet;
	struct agent agent;
	struct stamp sent; /* when the endpoint here might send from `source` */
	struct address source;
};

struct known_host {
	struct address host;
	struct stamp peer; /* when it was a peer, and no address of ours */
	struct stamp way;  /* when `hop` was the way to it */
	struct hop hop;
	__u32 mtu; /* that the way is known to take */
	__u32 pad;
};

struct known_source {
	struct stamp stamp; /* when what the endpoint sends might come from the host */
	__u32 vni;
	__u32 pad;
	struct address source;
	struct address host;
};

struct known_chains {
	struct stamp stamp;
	struct chains row;
	__u32 pad;
};

/* Each is in the one place that its number says, or in none. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, KNOWN_INTERFACES);
	__type(key, __u32);
	__type(value, struct known_interface);
} known_interfaces SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1 << KNOWN_HOSTS_BITS);
	__type(key, __u32);
	__type(value, struct known_host);
} known_hosts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1 << KNOWN_SOURCES_BITS);
	__type(key, __u32);
	__type(value, struct known_source);
} known_sources SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1 << KNOWN_CHAINS_BITS);
	__type(key, __u32);
	__type(value, struct known_chains);
} known_chains SEC(".maps");

static __always_inline bool is_fresh(const struct packet *p, const struct stamp *s)
{
	return s->epoch == p->now.epoch && p->now.ticks - s->ticks < KNOWN_TICKS;
}

/*
 * What is not fresh is looked up by functions that the verifier looks at once, each by itself, not wherever
 * they are called: it would not come to an end. That of 6.1 takes no keys out of an argument.
 */
__noinline int look_at_interface(__u32 ifindex)
{
	__u32 zero = 0, place = ifindex & (KNOWN_INTERFACES - 1);
	struct known_interface *k = bpf_map_lookup_elem(&known_interfaces, &place);
	const struct packet *p = bpf_map_lookup_elem(&scratch, &zero);
	const struct droplet *d;
	const struct agent *a;

	if (!k || !p)
		return 0;
	k->ifindex = ifindex;
	k->stamp = p->now;
	k->sent.epoch = 0;
	d = bpf_map_lookup_elem(&droplets, &ifindex);
	k->is_droplet = d != NULL;
	if (d)
		k->droplet = *d;
	a = bpf_map_lookup_elem(&agents, &ifindex);
	k->is_agent = a != NULL;
	if (a)
		k->agent = *a;
	return 0;
}

/* What an interface is to us. NULL: never. */
static __always_inline struct known_interface *find_interface(const struct packet *p, __u32 ifindex)
{
	__u32 place = ifindex & (KNOWN_INTERFACES - 1);
	struct known_interface *k = bpf_map_lookup_elem(&known_interfaces, &place);

	if (k && !(k->ifindex == ifindex && is_fresh(p, &k->stamp)))
		look_at_interface(ifindex);
	return k;
}

/* The interface of a local endpoint, if it is of the tenant: a row's memory may be another's by now. */
static __always_inline const struct agent *find_agent(const struct packet *p, __u32 ifindex)
{
	const struct known_interface *k = find_interface(p, ifindex);

	return k && k->is_agent && k->agent.vni == p->vni ? &k->agent : NULL;
}

/* Addresses that follow each other have places apart. */
static __always_inline __u32 place_of(const struct address *a, __u32 vni, __u32 bits)
{
	__u32 sum = bpf_ntohl(a->w[0] ^ a->w[1] ^ a->w[2] ^ a->w[3]) ^ vni << 12;

	return (sum * 0x9e3779b1) >> (32 - bits);
}

/* Where a host's place is. What is there may be another's. NULL: never. */
static __always_inline struct known_host *host_place(const struct address *host)
{
	__u32 place = place_of(host, 0, KNOWN_HOSTS_BITS);

	return bpf_map_lookup_elem(&known_hosts, &place);
}

/* Make the place the host's. */
static __always_inline void take_place(struct known_host *k, const struct address *host)
{
	if (address_equal(&k->host, host))
		return;
	k->host = *host;
	k->peer.epoch = 0;
	k->way.epoch = 0;
}

/* The chains of the host, a VPC or an endpoint. NULL: never. */
static __always_inline struct known_chains *find_chains(const struct packet *p, __u32 vni,
							__u32 ifindex)
{
	__u32 place = ((vni << 12 ^ ifindex) * 0x9e3779b1) >> (32 - KNOWN_CHAINS_BITS);
	struct known_chains *k = bpf_map_lookup_elem(&known_chains, &place);
	struct chain_key key = { .vni = vni, .ifindex = ifindex };
	const struct chains *row;

	if (!k || (k->row.vni == vni && k->row.ifindex == ifindex && is_fresh(p, &k->stamp)))
		return k;
	row = bpf_map_lookup_elem(&chains, &key);
	if (row)
		k->row = *row;
	if (!row || k->row.vni != vni || k->row.ifindex != ifindex) {
		__builtin_memset(&k->row, 0, sizeof(k->row));
		k->row.vni = vni;
		k->row.ifindex = ifindex;
	}
	k->stamp = p->now;
	return k;
}

/* Where the source of a tunnel packet has its place. What is there may be another's. NULL: never. */
static __always_inline struct known_source *source_place(const struct packet *p)
{
	__u32 place = place_of(&p->source, p->vni, KNOWN_SOURCES_BITS);

	return bpf_map_lookup_elem(&known_sources, &place);
}

#endif
