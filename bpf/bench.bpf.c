// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//go:build ignore

/*
 * For the benchmarks alone: BPF_PROG_RUN gives a program the same packet again, as the last run left it.
 * `fresh` makes it what it was, and goes on to the program that is measured.
 */
#include <stdbool.h>
#include <stddef.h>
#include <linux/types.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "lib/tables.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define FRAME 160

struct template
{
	__u32 length; /* FRAME or more: what follows is left as it is */
	__u32 offset; /* of the last word of the inner destination */
	__u32 mask;   /* this many low bits of it are random; 0: none */
	__be32 base;  /* the others */
	__u8 bytes[FRAME];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct template);
} frame SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} measured SEC(".maps");

static __always_inline __be32 pick(const struct template *t)
{
	return t->base | bpf_htonl(bpf_get_prandom_u32() & t->mask);
}

SEC("xdp.frags")
int fresh(struct xdp_md *ctx)
{
	__u32 zero = 0, off;
	const struct template *t = bpf_map_lookup_elem(&frame, &zero);
	__be32 *to;
	void *data;

	if (!t || bpf_xdp_adjust_head(ctx, (int)bpf_xdp_get_buff_len(ctx) - (int)t->length))
		return XDP_ABORTED;
	data = (void *)(long)ctx->data;
	if (data + FRAME > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	__builtin_memcpy(data, t->bytes, FRAME);
	off = t->offset;
	barrier_var(off);
	to = data + (off & 0xff);
	if (t->mask) {
		if ((void *)(to + 1) > (void *)(long)ctx->data_end)
			return XDP_ABORTED;
		*to = pick(t);
	}
	bpf_tail_call(ctx, &measured, 0);
	return XDP_ABORTED;
}

/* What `fresh` costs by itself. */
SEC("xdp.frags")
int nothing(struct xdp_md *ctx)
{
	return XDP_TX;
}

/* What a packet program has to do at the least: the floor that others are measured by. */
SEC("xdp.frags")
int swap(struct xdp_md *ctx)
{
	struct ethhdr *eth = (void *)(long)ctx->data;
	__u8 mac[ETH_ALEN];

	if ((void *)(eth + 1) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	__builtin_memcpy(mac, eth->h_dest, ETH_ALEN);
	__builtin_memcpy(eth->h_dest, eth->h_source, ETH_ALEN);
	__builtin_memcpy(eth->h_source, mac, ETH_ALEN);
	return XDP_TX;
}

/* The lookup of the destination alone: what a large table costs whoever asks it. */
SEC("xdp.frags")
int lookup(struct xdp_md *ctx)
{
	__u32 zero = 0;
	const struct template *t = bpf_map_lookup_elem(&frame, &zero);
	struct endpoint_key key = { .vni = 7 };

	if (!t)
		return XDP_ABORTED;
	key.addr.w[2] = bpf_htonl(0xffff);
	key.addr.w[3] = pick(t);
	return bpf_map_lookup_elem(&endpoints, &key) ? XDP_TX : XDP_DROP;
}

SEC("tc")
int skb_nothing(struct __sk_buff *ctx)
{
	return 0;
}
