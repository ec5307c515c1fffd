/* SPDX-License-Identifier: BSD-3-Clause */
/* DPDK's environment from our options: cores, memory, devices. */
#ifndef KAIDO_EAL_H
#define KAIDO_EAL_H

struct options;

/* Are the CPUs that the options name there, and online? -ENODEV with what to do logged if not. */
int eal_cpus_check(const struct options *o);

/*
 * Starts the EAL with one lcore per thread (id 0: main; 1 ..: workers) and the devices of all ports
 * and exception interfaces. Falls back to ordinary memory, with a notice, where there are too few
 * hugepages. Negative errno, with the cause logged.
 */
int eal_start(struct options *o);

#endif /* KAIDO_EAL_H */
