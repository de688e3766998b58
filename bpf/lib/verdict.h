/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The one exit of every program: count the verdict, report a drop, return. */
#ifndef MIZAR_VERDICT_H
#define MIZAR_VERDICT_H

#include "stage.h"

static __always_inline bool may_report(const struct settings *s)
{
	__u64 now = bpf_ktime_get_coarse_ns() / 1000000000;
	struct event_limit *l;
	__u32 zero = 0;

	if (!s->events_per_second)
		return false;
	l = bpf_map_lookup_elem(&event_limits, &zero);
	if (!l)
		return false;
	if (l->window != now) {
		l->window = now;
		l->count = 0;
	}
	if (l->count >= s->events_per_second) {
		l->lost++;
		return false;
	}
	l->count++;
	return true;
}

static __always_inline void report(ctx_t *ctx, const struct packet *p, enum reason r,
				   enum hook hook)
{
	struct event_limit *l;
	struct event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	__u32 zero = 0, n = ctx_len(ctx);

	if (!e) {
		l = bpf_map_lookup_elem(&event_limits, &zero);
		if (l)
			l->lost++;
		return;
	}
	e->time = bpf_ktime_get_ns();
	e->reason = r;
	e->hook = hook;
	e->ifindex = ctx_ifindex(ctx);
	e->vni = p->vni;
	e->length = p->length;
	e->outer = p->outer_source;
	e->source = p->source;
	e->destination = p->destination;
	if (n > EVENT_BYTES)
		n = EVENT_BYTES;
	__builtin_memset(e->bytes, 0, sizeof(e->bytes));
	/* 1 to EVENT_BYTES, in a form that the verifier of 6.1 can follow. */
	n -= 1;
	barrier_var(n);
	n = (n & (EVENT_BYTES - 1)) + 1;
	if (ctx_load(ctx, 0, e->bytes, n))
		n = 0;
	e->captured = n;
	bpf_ringbuf_submit(e, 0);
}

static __always_inline int finish(ctx_t *ctx, struct packet *p, enum reason r, enum hook hook,
				  int act)
{
	__u32 key = r, zero = 0;
	struct counter *c = bpf_map_lookup_elem(&counters, &key);
	const struct settings *s;

	if (c) {
		c->packets++;
		c->bytes += p->length;
	}
	if (r < REASON_DROP_FIRST)
		return act;
	s = bpf_map_lookup_elem(&settings, &zero);
	if (!s)
		return CTX_DROP;
	if (may_report(s))
		report(ctx, p, r, hook);
	p->why = r;
	run_stage(ctx, s, STAGE_DROP);
	return CTX_DROP;
}

#endif
