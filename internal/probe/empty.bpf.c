// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//go:build ignore

/* For benchmarks alone: a function that does nothing. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "../../bpf/function.h"

MIZAR_FUNCTION
{
	return MIZAR_NEXT;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
