/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Clears the way for net_af_xdp: a dataplane that was killed leaves its steering program attached,
 * and the driver refuses a device that has a program.
 */
#ifndef KAIDO_STEER_CLEAR_H
#define KAIDO_STEER_CLEAR_H

/*
 * Detaches the steering program from a device when no AF_XDP socket is bound to any of its queues
 * any more. Waits up to a second for the kernel to finish closing a dead process's sockets. Call it
 * before the port is probed, with CAP_NET_ADMIN, CAP_NET_RAW and CAP_SYS_ADMIN.
 *
 * 0: nothing is attached now. -EBUSY: another process uses the device with a socket of its own.
 * -EEXIST: a program that isn't ours is attached, and was left alone. -ENODEV; -EPERM.
 */
int steer_clear(const char *ifname);

#endif /* KAIDO_STEER_CLEAR_H */
