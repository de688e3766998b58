// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//go:build ignore

/*
 * A mirror: an endpoint of the same VPC and host gets a copy of each frame. At stage send that is the frame as it
 * was sent, with its MACs: the copy is not addressed to who gets it. At deliver, a packet from another host has
 * its tunnel around it.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "../../bpf/function.h"

struct copied {
	__u64 made;
	__u64 failed;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct copied);
} copies SEC(".maps");

/* Whose copies they are. Its interface is looked up for each: once it is deleted, nobody else gets them. */
const volatile struct address mirror;

MIZAR_FUNCTION_TCX
{
	struct address to = mirror;
	const struct endpoint *ep = mizar_endpoint(at, &to);
	__u32 zero = 0, ifindex = ep ? ep->ifindex : 0;
	struct copied *c = bpf_map_lookup_elem(&copies, &zero);

	if (!c)
		return MIZAR_NEXT;
	/* No other tenant's, whatever the row has become. Pointers into the packet would be void after a clone; `at` is
	 * beside it. */
	if (ifindex && mizar_agent(at, ifindex) && !bpf_clone_redirect(ctx, ifindex, 0))
		c->made++;
	else
		c->failed++;
	return MIZAR_NEXT;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
