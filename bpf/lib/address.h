/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Addresses of 16 bytes, IPv4 as ::ffff:a.b.c.d. */
#ifndef MIZAR_ADDRESS_H
#define MIZAR_ADDRESS_H

static __always_inline void address_v4(struct address *a, __be32 v4)
{
	a->w[0] = 0;
	a->w[1] = 0;
	a->w[2] = bpf_htonl(0xffff);
	a->w[3] = v4;
}

static __always_inline void address_v6(struct address *a, const void *v6)
{
	__builtin_memcpy(a->bytes, v6, 16);
}

static __always_inline bool address_is_v4(const struct address *a)
{
	return !a->w[0] && !a->w[1] && a->w[2] == bpf_htonl(0xffff);
}

static __always_inline bool address_is_zero(const struct address *a)
{
	return !(a->w[0] | a->w[1] | a->w[2] | a->w[3]);
}

static __always_inline bool address_equal(const struct address *a, const struct address *b)
{
	return a->w[0] == b->w[0] && a->w[1] == b->w[1] && a->w[2] == b->w[2] && a->w[3] == b->w[3];
}

/* Broadcast, too: nothing but the subnets' own, which nobody here can know. */
static __always_inline bool address_is_multicast(const struct address *a)
{
	if (address_is_v4(a))
		return (a->bytes[12] & 0xf0) == 0xe0 || a->w[3] == 0xffffffff;
	return a->bytes[0] == 0xff;
}

/* An address that no packet between hosts carries: unspecified, loopback, IPv4's 0/8 and 240/4. */
static __always_inline bool address_is_bad(const struct address *a)
{
	if (address_is_v4(a))
		return a->bytes[12] == 0 || a->bytes[12] == 127 || a->bytes[12] >= 240;
	return !(a->w[0] | a->w[1] | a->w[2]) && (a->w[3] == 0 || a->w[3] == bpf_htonl(1));
}

static __always_inline bool mac_equal(const __u8 *a, const __u8 *b)
{
	return *(__u16 *)a == *(__u16 *)b && *(__u16 *)(a + 2) == *(__u16 *)(b + 2) &&
	       *(__u16 *)(a + 4) == *(__u16 *)(b + 4);
}

static __always_inline bool mac_is_zero(const __u8 *a)
{
	return !(*(__u16 *)a | *(__u16 *)(a + 2) | *(__u16 *)(a + 4));
}

/* What every neighbour of a workload seems to have. */
#define VIRTUAL_MAC { 0xfe, 0x6d, 0x69, 0x7a, 0x61, 0x72 }
static const __u8 virtual_mac[6] = VIRTUAL_MAC;

#endif
