/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Path MTU: telling a sender, and being told by the underlay. */
#ifndef MIZAR_ICMP_H
#define MIZAR_ICMP_H

#include "encap.h"
#include "neighbour.h"
#include "outer.h"

#define QUOTE4 (60 + 8) /* the longest IPv4 header, and L4's first 8 bytes */
#define QUOTE6 128

struct icmp {
	__u8 type;
	__u8 code;
	__u16 checksum;
	__be32 mtu; /* ICMP: 16 bits zero, 16 bits MTU */
};

/*
 * Answer the sender of the packet whose IP header is at `l3` that the way takes no more than `mtu`. The answer
 * comes from the address that was asked for. The verifier looks at it once, by itself: it takes long.
 */
__noinline int reply_too_big(ctx_t *ctx, __u32 l3, bool v6, __u32 mtu, int *act)
{
	__u32 quote = v6 ? QUOTE6 : QUOTE4;
	__u32 room = ip_length(v6) + sizeof(struct icmp);
	struct address src, dst;
	__u8 l2[18] = {};
	struct ethhdr *eth;
	__be32 *tag;
	__s64 sum;

	if (!act)
		return DROP_TOO_BIG;
	if (l3 < ETH_HLEN || l3 > sizeof(l2) || ctx_len(ctx) < l3 + quote)
		return DROP_TOO_BIG;
	if (ctx_load(ctx, 0, l2, ETH_HLEN) ||
	    (l3 == sizeof(l2) && ctx_load(ctx, ETH_HLEN, l2 + ETH_HLEN, 4)))
		return DROP_TOO_BIG;
	if (v6) {
		if (ctx_load(ctx, l3 + 8, src.bytes, 16) || ctx_load(ctx, l3 + 24, dst.bytes, 16))
			return DROP_TOO_BIG;
		if (mtu < PATH_MTU_FLOOR)
			mtu = PATH_MTU_FLOOR;
	} else {
		if (ctx_load(ctx, l3 + 12, &src.w[3], 4) || ctx_load(ctx, l3 + 16, &dst.w[3], 4))
			return DROP_TOO_BIG;
	}
	if (ctx_quote(ctx, l3, quote, room, v6))
		return DROP_TOO_BIG;
	eth = AT(ctx, 0, struct ethhdr);
	if (!eth)
		return DROP_MODIFY;
	fill_ethernet(eth, l2 + 6, l2, *(__be16 *)(l2 + 12));
	if (l3 == sizeof(l2)) {
		tag = AT(ctx, ETH_HLEN, __be32);
		if (!tag)
			return DROP_MODIFY;
		__builtin_memcpy(tag, l2 + ETH_HLEN, 4);
	}
	if (v6) {
		struct {
			struct ipv6hdr ip;
			struct icmp icmp;
			__u8 quote[QUOTE6];
		} __attribute__((packed, aligned(2))) *to = AT(ctx, l3, typeof(*to));

		if (!to)
			return DROP_MODIFY;
		fill_ipv6(&to->ip, &dst, &src, 0, IPPROTO_ICMPV6, sizeof(*to));
		to->icmp.type = 2;
		to->icmp.code = 0;
		to->icmp.checksum = 0;
		to->icmp.mtu = bpf_htonl(mtu);
		sum = bpf_csum_diff(NULL, 0, (__be32 *)&to->ip.saddr, sizeof(*to) - 8,
				    bpf_htonl(sizeof(*to) - sizeof(to->ip) + IPPROTO_ICMPV6));
		if (sum < 0)
			return DROP_MODIFY;
		to->icmp.checksum = fold(sum);
	} else {
		struct {
			struct iphdr ip;
			struct icmp icmp;
			__u8 quote[QUOTE4];
		} __attribute__((packed, aligned(2))) *to = AT(ctx, l3, typeof(*to));

		if (!to)
			return DROP_MODIFY;
		fill_ipv4(&to->ip, &dst, &src, 0, IPPROTO_ICMP, sizeof(*to));
		to->icmp.type = 3;
		to->icmp.code = 4;
		to->icmp.checksum = 0;
		to->icmp.mtu = bpf_htonl(mtu > 0xffff ? 0xffff : mtu);
		sum = bpf_csum_diff(NULL, 0, (__be32 *)&to->icmp, sizeof(*to) - sizeof(to->ip), 0);
		if (sum < 0)
			return DROP_MODIFY;
		to->icmp.checksum = fold(sum);
	}
	*act = ctx_reflect(ctx);
	return REASON_TOO_BIG_REPLY;
}

/* Later fragments and ICMP errors are not answered with ICMP errors (RFC 1122, 3.2.2; RFC 4443, 2.4). */
static __always_inline bool may_answer(ctx_t *ctx, const struct packet *p)
{
	__u8 type;

	if (p->fragment == FRAGMENT_LATER)
		return false;
	if (p->proto != (p->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP))
		return true;
	if (ctx_load(ctx, p->l4, &type, 1))
		return false;
	if (p->v6)
		return type >= 128;
	return type != 3 && type != 4 && type != 5 && type != 11 && type != 12;
}

/* Tell the sender of a workload's packet, where it may be told. */
static __always_inline enum reason answer_too_big(ctx_t *ctx, const struct packet *p, __u32 mtu,
						  int *act)
{
	return may_answer(ctx, p) ? reply_too_big(ctx, p->l3, p->v6, mtu, act) : DROP_TOO_BIG;
}

/* Every CPU is to look again. */
static __always_inline void next_epoch(void)
{
	enum epoch key = EPOCH_PATHS;
	__u64 *epoch = bpf_map_lookup_elem(&epochs, &key);

	if (epoch)
		__sync_fetch_and_add(epoch, 1);
}

/* A path's MTU is learned only for a host that we have sent to, and not below the floor. */
static __always_inline void learn_path(struct packet *p, const struct settings *s,
				       const struct address *host, __u32 mtu)
{
	__u64 now = bpf_ktime_get_coarse_ns();
	const struct path *known = bpf_map_lookup_elem(&paths, host);
	struct path *path = &p->path;
	bool other;

	if (!known || !mtu || !is_peer(host))
		return;
	if (mtu < PATH_MTU_FLOOR)
		mtu = PATH_MTU_FLOOR;
	*path = *known;
	other = !path->mtu || now >= path->expires || mtu < path->mtu;
	if (other)
		path->mtu = mtu;
	path->expires = now + s->path_age_ns;
	bpf_map_update_elem(&paths, host, path, BPF_EXIST);
	if (other)
		next_epoch();
}

/* The quoted UDP header has to be one that we write. */
static __always_inline bool quotes_us(ctx_t *ctx, const struct settings *s, __u32 off)
{
	__be16 ports[2];

	return !ctx_load(ctx, off, ports, sizeof(ports)) && ports[1] == bpf_htons(s->port) &&
	       bpf_ntohs(ports[0]) >= SPORT_FIRST;
}

/* An ICMP error of the underlay. It goes on to the stack in any case. */
static __always_inline void underlay_icmp(ctx_t *ctx, struct packet *p, const struct settings *s)
{
	struct address to, from, host;
	struct icmp icmp;
	__be16 proto;

	if (ctx_load(ctx, 12, &proto, sizeof(proto)))
		return;
	if (proto == bpf_htons(ETH_P_IP)) {
		struct iphdr ip;
		__u32 off = ETH_HLEN;

		if (ctx_load(ctx, off, &ip, sizeof(ip)) || ip.protocol != IPPROTO_ICMP ||
		    ip.version != 4 || ip.ihl < 5 || (ip.frag_off & bpf_htons(0x3fff)))
			return;
		address_v4(&to, ip.daddr);
		off += ip.ihl * 4;
		if (ctx_load(ctx, off, &icmp, sizeof(icmp)) || icmp.type != 3 || icmp.code != 4)
			return;
		off += sizeof(icmp);
		if (ctx_load(ctx, off, &ip, sizeof(ip)) || ip.protocol != IPPROTO_UDP ||
		    ip.version != 4 || ip.ihl < 5 || (ip.frag_off & bpf_htons(0x3fff)))
			return;
		address_v4(&from, ip.saddr);
		address_v4(&host, ip.daddr);
		off += ip.ihl * 4;
		if (!is_own(&to) || !is_own(&from) || !quotes_us(ctx, s, off))
			return;
		learn_path(p, s, &host, bpf_ntohl(icmp.mtu) & 0xffff);
	} else if (proto == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr ip;
		__u32 off = ETH_HLEN;

		if (ctx_load(ctx, off, &ip, sizeof(ip)) || ip.version != 6 ||
		    ip.nexthdr != IPPROTO_ICMPV6)
			return;
		address_v6(&to, &ip.daddr);
		off += sizeof(ip);
		if (ctx_load(ctx, off, &icmp, sizeof(icmp)) || icmp.type != 2 || icmp.code != 0)
			return;
		off += sizeof(icmp);
		if (ctx_load(ctx, off, &ip, sizeof(ip)) || ip.version != 6 ||
		    ip.nexthdr != IPPROTO_UDP)
			return;
		address_v6(&from, &ip.saddr);
		address_v6(&host, &ip.daddr);
		off += sizeof(ip);
		if (address_is_v4(&to) || address_is_v4(&from) || address_is_v4(&host) ||
		    !is_own(&to) || !is_own(&from) || !quotes_us(ctx, s, off))
			return;
		learn_path(p, s, &host, bpf_ntohl(icmp.mtu));
	}
}

#endif
