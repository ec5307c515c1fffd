/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The program of a tenant's port: every frame goes to the AF_XDP socket of its queue. Nothing of a
 * tenant is for the host, so it is dropped where no dataplane is there to take it.
 *
 * Loaded by net_af_xdp like the steering program (steer.bpf.c).
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "steer.h"

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, STEER_QUEUES);
	__type(key, __u32);
	__type(value, __u32);
} xsks_map SEC(".maps");

SEC("xdp")
int kaido_take(struct xdp_md *ctx)
{
	return bpf_redirect_map(&xsks_map, ctx->rx_queue_index, XDP_DROP);
}

/* Helpers that ask for the GPL are not used. */
char LICENSE[] SEC("license") = "BSD-3-Clause";
