/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line of kaido-dataplane. */
#ifndef KAIDO_OPTIONS_H
#define KAIDO_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/message.h"
#include "aead.h"
#include "tables.h"

#define WORKERS_MAX 64

struct option_port {
	char name[ABI_NAME_LEN];
	char device[64];            /* "net_pcap0", "0000:01:00.0" */
	char args[512];             /* all of it, with the device's arguments */
	char tap[ABI_IFNAME_LEN];   /* exception interface; "": none */
	char iface[ABI_IFNAME_LEN]; /* the iface= argument of AF_XDP and AF_PACKET; "": none */
};

struct options {
	const char *socket;
	const char *xdp_program; /* NULL: the one that was built with this program */
	const char *user;        /* to become after start; NULL: stay */
	struct option_port port[PORTS_MAX];
	uint32_t ports;
	uint32_t main_cpu;
	uint32_t worker_cpu[WORKERS_MAX];
	uint32_t workers;
	uint32_t memory_mb; /* 0: as needed */
	uint32_t mbufs;     /* 16384 and what the queues hold, unless said otherwise */
	uint32_t mbuf_size; /* bytes of data room, headroom not counted */
	uint32_t idle_sleep_us;
	uint32_t reassembly_s; /* how long fragments of ESP wait for each other; 0: they don't */
	uint32_t early;    /* buffers with ESP whose SA is not there yet, of a worker; 0: none */
	uint32_t early_ms; /* how long it waits */
	uint16_t mtu;      /* of all ports; 0: theirs */
	uint16_t ring;     /* descriptors of a queue */
	bool no_huge;
	bool hold;
	bool promiscuous;
	bool sample_all;     /* every burst is measured by stages */
	bool private_queues; /* no worker polls another one's */
	enum aead_kind aead;
	enum aead_isa isa;
	struct tables_size size;
};

/* 0: go on; 1: --help or --version was answered, end well; -EINVAL: said what is wrong. */
int options_parse(int argc, char **argv, struct options *o);

#endif /* KAIDO_OPTIONS_H */
