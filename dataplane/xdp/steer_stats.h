/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The counters of the steering program that is attached to a network device.
 *
 * net_af_xdp loads and attaches the program itself and keeps its maps to itself, so they are found
 * from the device: attached program -> its maps -> the one of that name.
 *
 * steer_open() needs CAP_SYS_ADMIN (or CAP_BPF with CAP_NET_ADMIN where the kernel takes that):
 * call it after the port was started and before privileges are dropped. steer_read() needs none.
 * One thread at a time per struct steer.
 */
#ifndef KAIDO_STEER_STATS_H
#define KAIDO_STEER_STATS_H

#include <stdint.h>

#include "steer.h"

struct steer;

/*
 * -ENODEV: no such device; -ENOENT: no program is attached; -EEXIST: one is, but not the steering
 * program (its name and the size of its counters are checked); -EPERM; -ENOMEM.
 */
int steer_open(const char *ifname, struct steer **steer);
/* Packets by class since the program was loaded, all CPUs together. Negative errno. */
int steer_read(struct steer *steer, uint64_t counts[XDP_CLASSES]);
/* NULL is allowed. The program stays attached. */
void steer_close(struct steer *steer);

/* For example "esp_udp"; "unknown" out of range. */
const char *steer_class_name(enum xdp_class class);

/*
 * The id of the program attached to a device, whatever the mode, and whether it is one of ours: the
 * steering program or that of tenants' ports, which has no counters. Same errors as steer_open(),
 * except that a foreign program is -EEXIST with *id set.
 */
int steer_attached(unsigned int ifindex, uint32_t *id);

#endif /* KAIDO_STEER_STATS_H */
