/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the parsers find in a packet. Offsets are from the start of the frame. */
#ifndef MIZAR_PACKET_H
#define MIZAR_PACKET_H

enum fragment {
	FRAGMENT_NONE = 0,
	FRAGMENT_FIRST,
	FRAGMENT_LATER,
};

/* A moment: nothing that was looked up in it has changed since, unless the epoch has. */
struct stamp {
	__u64 epoch;
	__u64 ticks; /* of the kernel's timer */
};

struct packet {
	struct stamp now; /* taken before anything is looked up */
	__u32 length;     /* of the frame, as it came */
	__u32 end;        /* of what the headers so far say is there */
	__u32 segment;    /* payload of each segment, 0: no GSO packet */

	/* The tunnel; unset for what an endpoint sent. */
	struct address outer_source;
	struct address outer_destination;
	__u32 vni;
	__u16 geneve;    /* offset of the Geneve header */
	__u16 outer;     /* bytes from the outer IP header to the end of the options */
	__u32 outer_end; /* where the UDP datagram ends; without a tunnel, the frame */
	__u16 option;    /* offset of return-to-sender, 0: none */
	__u8 outer_v6;
	__u8 outer_tos;
	__u8 hops;
	__u8 critical;
	__u16 sport;           /* outer source port, host order */
	struct address sender; /* the host that return-to-sender names */

	/* The inner frame. */
	__u16 eth;
	__u16 l3;
	__u16 l4;
	__be16 ethertype;
	__be16 tag_proto;
	__u16 tag;
	__u8 tagged;
	__u8 tag_outside; /* of the bytes: in the skb */
	__u8 v6;
	__u8 tos;
	__u8 proto; /* of L4, behind extension headers */
	__u8 fragment;
	__u8 extended; /* IPv6 extension headers, any */
	__u8 pad[3];
	struct address source;
	struct address destination;
	__u32 hash; /* of the flow, where the outer source port is ours */

	/* Where the packet is in the pipeline, for functions and for what comes behind them. */
	enum stage stage;
	enum reason why;       /* it is forwarded, or dropped */
	__u32 from;            /* interface here that it was sent from; 0: none */
	__u32 to;              /* and the one that it is delivered to; 0: none known */
	__u32 staged;          /* its length before the functions */
	__u8 whole;            /* its endpoint takes tunnel packets as they are */
	struct chain chain[3]; /* of the host, the VPC, the endpoint; none where done */

	/* The way to another host. */
	struct address next; /* the host */
	struct path path;
	__u32 refresh; /* the kernel's neighbour table is to see the packet */
	__u32 pad2;
	struct bpf_fib_lookup fib;
};

/*
 * One packet at a time on a CPU: both hooks run with softirqs off and do not nest. On the stack it would
 * not fit, and the verifier would tell apart every value that it may have.
 */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct packet);
} scratch SEC(".maps");

static __always_inline __u64 read_epoch(enum epoch which)
{
	const __u64 *epoch = bpf_map_lookup_elem(&epochs, &which);

	return epoch ? *(const volatile __u64 *)epoch : 0;
}

static __always_inline struct packet *new_packet(ctx_t *ctx)
{
	__u32 zero = 0;
	struct packet *p = bpf_map_lookup_elem(&scratch, &zero);

	if (!p)
		return NULL;
	__builtin_memset(p, 0, offsetof(struct packet, next));
	/* 0 is of what is not known: it would be now where nobody writes the epoch. */
	p->now.epoch = 1 + read_epoch(EPOCH_TABLES) + read_epoch(EPOCH_PATHS);
	p->now.ticks = bpf_jiffies64();
	p->length = ctx_len(ctx);
	p->end = p->length;
	p->outer_end = p->length;
	p->segment = ctx_segment(ctx);
	return p;
}

/* The packet that this CPU has in hand. Its functions have not changed what is known of it. */
static __always_inline struct packet *same_packet(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&scratch, &zero);
}

/* Direct access to `type` at `off`, or a failure. `off` is bounded for the verifier. */
#define AT(ctx, off, type)                                                                         \
	({                                                                                         \
		__u32 __off = (off);                                                               \
		barrier_var(__off);                                                                \
		__u8 *__at = ctx_data(ctx) + (__off & 0x7ff);                                      \
		((void *)(__at + sizeof(type)) <= ctx_end(ctx)) ? (type *)__at : (type *)0;        \
	})

/* A load that is direct where it can be. */
static __always_inline int load_word(ctx_t *ctx, __u32 off, __u32 *to)
{
	const __u32 *at = off < 0x7ff ? AT(ctx, off, __u32) : NULL;

	if (!at)
		return ctx_load(ctx, off, to, sizeof(*to));
	*to = *at;
	return 0;
}

#endif
