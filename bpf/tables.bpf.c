// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//go:build ignore

/* The tables alone: one object makes them, and lends its types to Go; the programs' objects use them. */
#include <linux/types.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "lib/tables.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* A ring buffer names no type: this keeps the records' one in the BTF. The loader leaves it out. */
const struct event *unused_event __attribute__((unused));
