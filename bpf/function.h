/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Writing a network function: an eBPF program in the pipeline. This file is all that it takes, beside
 * linux/bpf.h and libbpf's headers. One source makes a program for XDP and one for tcx:
 *
 *	#include <linux/bpf.h>
 *	#include <bpf/bpf_helpers.h>
 *	#include "function.h"
 *
 *	MIZAR_DROP_REASON(telnet);
 *
 *	MIZAR_FUNCTION
 *	{
 *		if (at->proto == 6 && (at->dport == bpf_htons(23) || at->flags & (MIZAR_FIRST | MIZAR_LATER)))
 *			return mizar_drop(at, mizar_reason_telnet); // a fragment tells no ports
 *		return MIZAR_NEXT;
 *	}
 *
 *	char LICENSE[] SEC("license") = "Dual BSD/GPL";
 *
 * `at` is what is known of the packet; mizar_load and mizar_store reach its bytes, and `ctx` is what helpers take.
 * A function may change bytes, but not the packet's length: such a packet is dropped. Addresses are 16 bytes in
 * network order, IPv4 as ::ffff:a.b.c.d; what is __be is in network order, all else in the host's.
 */
#ifndef MIZAR_FUNCTION_H
#define MIZAR_FUNCTION_H

#include <stdbool.h>
#include <stddef.h>
#include <linux/types.h>

/* Another number: the library refuses what was compiled with this one. */
#define MIZAR_FUNCTION_ABI 1

struct address {
	union {
		__u8 bytes[16];
		__be32 w[4];
	};
};

/*
 * Where in the pipeline. The packet is as it came, but for a drop, which may come when its outer headers have been
 * changed or cut. What the pipeline has read of it by then, it goes by: a function that writes other addresses,
 * ports or lengths changes what its receiver sees, not where it goes.
 */
enum stage {
	STAGE_SEND = 1, /* an endpoint here sent it; nothing is around it yet */
	STAGE_PARSE,    /* it came by a tunnel, and is valid; where it goes is not known yet */
	STAGE_DELIVER,  /* to an endpoint here */
	STAGE_FORWARD,  /* by a tunnel, on to another host */
	STAGE_DROP, /* it is dropped, whatever is said; also of a packet that could not be parsed */
	STAGES,
};

enum mizar_verdict {
	MIZAR_NEXT = 0, /* the next function, and then the pipeline */
	MIZAR_DROP,     /* use mizar_drop, which says why */
	MIZAR_DELIVER,  /* the pipeline, past the other functions of this stage */
	MIZAR_PASS, /* the host's own stack, as it came. Never what an endpoint here sent: that is dropped */
};

enum mizar_flags {
	MIZAR_TUNNEL = 1 << 0, /* the bytes begin with a tunnel's headers */
	MIZAR_V6 = 1 << 1,     /* the inner packet is IPv6 */
	MIZAR_TAGGED = 1 << 2, /* the inner frame has a VLAN tag, in the bytes or beside them */
	MIZAR_FIRST = 1 << 3,  /* the first of several fragments: no ports */
	MIZAR_LATER = 1 << 4,  /* another fragment: no header of L4 at all */
	MIZAR_XDP = 1 << 5,    /* this is XDP, and not tcx */
};

#define MIZAR_ROOM 64

/* What a function is told of a packet. Offsets are from the start of the frame, 0 where there is no such header. */
struct mizar_packet {
	__u32 abi;
	enum stage stage;
	enum mizar_flags flags;
	__u32 vni;    /* the tenant's; 0 where not known yet */
	__u32 length; /* of the frame, bytes */
	__u32 from; /* interface that the endpoint is behind, where it sent from this host; else 0 */
	__u32 to;   /* the same of the one that gets it */
	__u32 reason; /* stage DROP: why, of enum reason */
	__u16 geneve;
	__u16 eth; /* of the inner frame */
	__u16 l3;
	__u16 l4;
	__be16 ethertype; /* inner, behind a tag */
	__be16 sport;     /* TCP, UDP, SCTP; else 0 */
	__be16 dport;
	__u8 proto; /* of L4, behind extension headers */
	__u8 pad;
	struct address source; /* inner */
	struct address destination;
	struct address outer_source; /* host that the packet came from; zero: from an endpoint here */
	__u8 room[MIZAR_ROOM]; /* for functions to tell each other; zero at the start of a stage */

	/* How the packet goes on. Not for functions. */
	__u32 slot; /* this function's */
	__u32 left; /* behind it in the chain */
	__u32 end;  /* slot of who goes on behind that */
	enum mizar_verdict verdict;
};

/*
 * Rows of the tables that functions may read.
 *
 * endpoints: where each address of a VPC lives.
 */
enum endpoint_kind {
	ENDPOINT_SIMPLE = 1,
	ENDPOINT_SCALED,   /* reserved */
	ENDPOINT_PROXIED,  /* reserved */
	ENDPOINT_FUNCTION, /* takes tunnel packets as they are */
};

struct endpoint_key {
	__u32 vni;
	struct address addr;
};

struct endpoint {
	enum endpoint_kind kind;
	__u8 mac[6]; /* zero: the virtual MAC is written (a remote endpoint behind an agent) */
	__u16 flags;
	__u32 ifindex; /* host-side interface; 0: it lives on `host` */
	__u32 label;
	__u32 set;           /* backends; 0: none */
	struct address host; /* zero where local */
	__u64 cookie;
};

/* agents: host-side interfaces of endpoints. */
enum agent_flags {
	AGENT_PEER = 1 << 0,    /* a veth whose peer is in another namespace: redirect_peer works */
	AGENT_ALLOWED = 1 << 1, /* has rows in `allowed` */
	AGENT_XDP = 1 << 2,     /* the agent runs in XDP here, tcx behind it */
};

struct agent {
	__u32 vni;
	enum agent_flags flags;
	__u8 mac[6]; /* the workload's */
	__u16 mtu;   /* of the workload's interface */
	__u32 traffic;
	__u32 pad;
	__u64 cookie;
};

/* networks: prefixes of a VPC. */
enum network_kind {
	NETWORK_BOUNCERS = 1,
	NETWORK_ENDPOINT, /* the prefix is behind the endpoint `via` */
	NETWORK_BLACKHOLE,
};

enum network_flags {
	NETWORK_NO_DIRECT = 1 << 0,
};

struct network_key {
	__u32 prefixlen; /* 32 + the prefix's bits, + 96 for IPv4 */
	__be32 vni;      /* big-endian: matched bit by bit */
	struct address addr;
};

struct network {
	enum network_kind kind;
	enum network_flags flags;
	__u32 set; /* bouncers */
	__u32 vni; /* the key's again: the row may be another's by the time it is read */
	struct address via;
	__u64 cookie;
};

/* vpcs. */
enum vpc_flags {
	VPC_NO_DIRECT = 1 << 0,
};

struct vpc {
	__u32 set; /* dividers; 0: none */
	enum vpc_flags flags;
	__u64 generation; /* what was learned under another one is void */
	__u32 vni;        /* the key's again */
	__u32 pad;
	__u64 cookie;
};

#ifndef MIZAR_LIBRARY

/* The library's, which it puts in place of these. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1048576);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_RDONLY_PROG);
	__type(key, struct endpoint_key);
	__type(value, struct endpoint);
} endpoints SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_RDONLY_PROG);
	__type(key, __u32);
	__type(value, struct agent);
} agents SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_RDONLY_PROG);
	__type(key, struct network_key);
	__type(value, struct network);
} networks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_RDONLY_PROG);
	__type(key, __u32);
	__type(value, struct vpc);
} vpcs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct mizar_packet);
} function_packet SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u32);
} stages_xdp SEC(".maps"), stages_tcx SEC(".maps");

const volatile __u32 mizar_function_abi = MIZAR_FUNCTION_ABI;

/* A reason to drop packets: the library gives it a number, and counts by its name. */
#define MIZAR_DROP_REASON(name) const volatile __u32 mizar_reason_##name

static __always_inline int mizar_drop(struct mizar_packet *at, __u32 reason)
{
	at->reason = reason;
	return MIZAR_DROP;
}

/* In a function: bytes of the frame, to and from memory. 0: it has them. */
#define mizar_load(offset, to, length)                                                             \
	(mizar_xdp ? bpf_xdp_load_bytes(ctx, offset, to, length)                                   \
		   : bpf_skb_load_bytes(ctx, offset, to, length))
#define mizar_store(offset, from, length)                                                          \
	(mizar_xdp ? bpf_xdp_store_bytes(ctx, offset, from, length)                                \
		   : bpf_skb_store_bytes(ctx, offset, from, length, 0))

/*
 * The row of one end's address, and of the other's. NULL: it has none of its own. A row that is changed meanwhile may
 * be another's while it is read: who acts on it compares what has the key in it, as mizar_agent does.
 */
static __always_inline const struct endpoint *mizar_endpoint(const struct mizar_packet *at,
							     const struct address *a)
{
	struct endpoint_key key = { .vni = at->vni, .addr = *a };

	return bpf_map_lookup_elem(&endpoints, &key);
}

/* The interface of an endpoint here, if it is of the packet's VPC. */
static __always_inline const struct agent *mizar_agent(const struct mizar_packet *at, __u32 ifindex)
{
	const struct agent *a = bpf_map_lookup_elem(&agents, &ifindex);

	return a && a->vni == at->vni ? a : NULL;
}

/* The longest prefix of the packet's VPC that an address is in. */
static __always_inline const struct network *mizar_network(const struct mizar_packet *at,
							   const struct address *a)
{
	struct network_key key = { .prefixlen = 160,
				   .vni = __builtin_bswap32(at->vni),
				   .addr = *a };
	const struct network *n;

	if (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)
		key.vni = at->vni;
	n = bpf_map_lookup_elem(&networks, &key);
	return n && n->vni == at->vni ? n : NULL;
}

/* Whoever ends a function some other way loses the packet, uncounted. */
#define MIZAR_PROGRAM(name, section, type, xdp, stages, dropped)                                   \
	SEC(section) int name(type *ctx)                                                           \
	{                                                                                          \
		__u32 zero = 0;                                                                    \
		struct mizar_packet *at = bpf_map_lookup_elem(&function_packet, &zero);            \
                                                                                                   \
		if (!at)                                                                           \
			return dropped;                                                            \
		at->verdict = mizar_function(ctx, at, xdp);                                        \
		if (at->verdict == MIZAR_NEXT && at->left) {                                       \
			at->left--;                                                                \
			at->slot++;                                                                \
			bpf_tail_call(ctx, &stages, at->slot);                                     \
			at->verdict = MIZAR_DROP;                                                  \
			at->reason = 0;                                                            \
		}                                                                                  \
		bpf_tail_call(ctx, &stages, at->end);                                              \
		return dropped;                                                                    \
	}

/* The one function of a file: its body follows. */
#define MIZAR_FUNCTION                                                                             \
	static __always_inline int mizar_function(void *ctx, struct mizar_packet *at,              \
						  const bool mizar_xdp);                           \
	MIZAR_PROGRAM(function_xdp, "xdp.frags", struct xdp_md, true, stages_xdp,                  \
		      1 /* XDP_DROP */)                                                            \
	MIZAR_PROGRAM(function_tcx, "tc", struct __sk_buff, false, stages_tcx,                     \
		      2 /* TC_ACT_SHOT */)                                                         \
	static __always_inline int mizar_function(void *ctx, struct mizar_packet *at,              \
						  const bool mizar_xdp)

/* The same of a function that only works in tcx, as what copies packets does. */
#define MIZAR_FUNCTION_TCX                                                                         \
	static __always_inline int mizar_function(void *ctx, struct mizar_packet *at,              \
						  const bool mizar_xdp);                           \
	MIZAR_PROGRAM(function_tcx, "tc", struct __sk_buff, false, stages_tcx,                     \
		      2 /* TC_ACT_SHOT */)                                                         \
	static __always_inline int mizar_function(void *ctx, struct mizar_packet *at,              \
						  const bool mizar_xdp)

#endif /* MIZAR_LIBRARY */

#endif
