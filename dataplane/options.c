/* SPDX-License-Identifier: BSD-3-Clause */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

#define MBUFS_LEAST   16384
#define MBUFS_MAX     (1u << 24)
#define EARLY_BUFFERS 8 /* one in so many of --mbufs may wait for its SA, at all workers */

static const char usage[] =
	"Usage: kaido-dataplane --port NAME=DEVICE[,ARGUMENTS] [options]\n"
	"\n"
	"  --port NAME=DEVICE[,ARGS]  a port: a PCI address or a DPDK virtual device, for example\n"
	"                             wan=0000:01:00.0 or lan=net_af_xdp0,iface=eth1; may be repeated\n"
	"  --exception NAME=NETDEV    make a tap NETDEV for what belongs to the host on that port\n"
	"  --socket PATH              southbound socket (/run/kaido/dataplane.sock)\n"
	"  --main-cpu N               CPU of the control thread (0)\n"
	"  --workers LIST             CPUs of the workers, for example 1,4-7 (1)\n"
	"  --private-queues           idle workers don't help with the queues of busy ones\n"
	"  --idle-sleep USEC          longest sleep of an idle worker; 0: never sleep (0)\n"
	"  --no-huge                  do without hugepages\n"
	"  --memory MB                memory for DPDK (as needed; 512 without hugepages)\n"
	"  --mbufs N                  packet buffers (as the queues need; at least 16384)\n"
	"  --mbuf-size BYTES          room for a frame in a buffer (2048)\n"
	"  --ring N                   descriptors of a queue (512)\n"
	"  --mtu N                    MTU of the ports (the devices' own)\n"
	"  --promiscuous              take frames to any MAC address from the devices\n"
	"  --reassembly SECONDS       how long fragments of ESP wait for each other; 0: they are\n"
	"                             dropped (60)\n"
	"  --early N                  buffers of a worker for ESP that is ahead of its SA; 0: it is\n"
	"                             dropped (4096)\n"
	"  --early-ms MSEC            how long such ESP waits for its SA (500)\n"
	"  --hold                     do not take packets before the first configuration\n"
	"  --aead KIND                auto, vaes, ipsec-mb or openssl (auto)\n"
	"  --isa SET                  auto, sse, avx, avx2 or avx512 (auto)\n"
	"  --max-tenants N            (16384)\n"
	"  --max-attachments N        (32768)\n"
	"  --max-tunnels N            (131072)\n"
	"  --max-sas N                (524288)\n"
	"  --max-neighbours N         (131072)\n"
	"  --route-memory MB          (4096, of address space)\n"
	"  --stage-cycles             measure the stages of every burst (of one in 61)\n"
	"  --xdp-program FILE         steering program for AF_XDP ports\n"
	"  --user NAME                become this user after start\n"
	"  --help, --version\n";

enum {
	OPT_PORT = 256,
	OPT_EXCEPTION,
	OPT_SOCKET,
	OPT_MAIN_CPU,
	OPT_WORKERS,
	OPT_PRIVATE_QUEUES,
	OPT_IDLE_SLEEP,
	OPT_NO_HUGE,
	OPT_MEMORY,
	OPT_MBUFS,
	OPT_MBUF_SIZE,
	OPT_RING,
	OPT_MTU,
	OPT_PROMISCUOUS,
	OPT_REASSEMBLY,
	OPT_EARLY,
	OPT_EARLY_MS,
	OPT_HOLD,
	OPT_AEAD,
	OPT_ISA,
	OPT_MAX_TENANTS,
	OPT_MAX_ATTACHMENTS,
	OPT_MAX_TUNNELS,
	OPT_MAX_SAS,
	OPT_MAX_NEIGHBOURS,
	OPT_ROUTE_MEMORY,
	OPT_STAGE_CYCLES,
	OPT_XDP_PROGRAM,
	OPT_USER,
	OPT_HELP,
	OPT_VERSION,
};

static const struct option long_options[] = {
	{ "port", required_argument, NULL, OPT_PORT },
	{ "exception", required_argument, NULL, OPT_EXCEPTION },
	{ "socket", required_argument, NULL, OPT_SOCKET },
	{ "main-cpu", required_argument, NULL, OPT_MAIN_CPU },
	{ "workers", required_argument, NULL, OPT_WORKERS },
	{ "private-queues", no_argument, NULL, OPT_PRIVATE_QUEUES },
	{ "idle-sleep", required_argument, NULL, OPT_IDLE_SLEEP },
	{ "no-huge", no_argument, NULL, OPT_NO_HUGE },
	{ "memory", required_argument, NULL, OPT_MEMORY },
	{ "mbufs", required_argument, NULL, OPT_MBUFS },
	{ "mbuf-size", required_argument, NULL, OPT_MBUF_SIZE },
	{ "ring", required_argument, NULL, OPT_RING },
	{ "mtu", required_argument, NULL, OPT_MTU },
	{ "promiscuous", no_argument, NULL, OPT_PROMISCUOUS },
	{ "reassembly", required_argument, NULL, OPT_REASSEMBLY },
	{ "early", required_argument, NULL, OPT_EARLY },
	{ "early-ms", required_argument, NULL, OPT_EARLY_MS },
	{ "hold", no_argument, NULL, OPT_HOLD },
	{ "aead", required_argument, NULL, OPT_AEAD },
	{ "isa", required_argument, NULL, OPT_ISA },
	{ "max-tenants", required_argument, NULL, OPT_MAX_TENANTS },
	{ "max-attachments", required_argument, NULL, OPT_MAX_ATTACHMENTS },
	{ "max-tunnels", required_argument, NULL, OPT_MAX_TUNNELS },
	{ "max-sas", required_argument, NULL, OPT_MAX_SAS },
	{ "max-neighbours", required_argument, NULL, OPT_MAX_NEIGHBOURS },
	{ "route-memory", required_argument, NULL, OPT_ROUTE_MEMORY },
	{ "stage-cycles", no_argument, NULL, OPT_STAGE_CYCLES },
	{ "xdp-program", required_argument, NULL, OPT_XDP_PROGRAM },
	{ "user", required_argument, NULL, OPT_USER },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ NULL, 0, NULL, 0 },
};

static int parse_number(const char *name, const char *text, uint64_t min, uint64_t max,
			uint64_t *out)
{
	char *end;
	uint64_t v;

	errno = 0;
	v = strtoull(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || *text == '-' || v < min || v > max) {
		log_error("--%s: \"%s\" is not a number from %llu to %llu", name, text,
			  (unsigned long long)min, (unsigned long long)max);
		return -EINVAL;
	}
	*out = v;
	return 0;
}

static int parse_u32(const char *name, const char *text, uint32_t min, uint32_t max, uint32_t *out)
{
	uint64_t v;
	int err = parse_number(name, text, min, max, &v);

	if (err == 0)
		*out = (uint32_t)v;
	return err;
}

static int parse_u16(const char *name, const char *text, uint16_t min, uint16_t max, uint16_t *out)
{
	uint64_t v;
	int err = parse_number(name, text, min, max, &v);

	if (err == 0)
		*out = (uint16_t)v;
	return err;
}

/* "1,4-7" */
static int parse_cpus(const char *text, struct options *o)
{
	const char *s = text;

	o->workers = 0;
	while (*s != '\0') {
		char *end;
		unsigned long first = strtoul(s, &end, 10), last = first;

		if (end == s)
			goto bad;
		if (*end == '-') {
			s = end + 1;
			last = strtoul(s, &end, 10);
			if (end == s || last < first)
				goto bad;
		}
		for (unsigned long cpu = first; cpu <= last; cpu++) {
			if (o->workers == WORKERS_MAX || cpu > 4095)
				goto bad;
			o->worker_cpu[o->workers++] = (uint32_t)cpu;
		}
		if (*end != '\0' && (*end != ',' || end[1] == '\0'))
			goto bad;
		s = *end == ',' ? end + 1 : end;
	}
	if (o->workers != 0)
		return 0;
bad:
	log_error("--workers: \"%s\" is not a list of at most %d CPUs like 1,4-7", text,
		  WORKERS_MAX);
	return -EINVAL;
}

static struct option_port *find_port(struct options *o, const char *name, size_t len)
{
	for (uint32_t i = 0; i < o->ports; i++)
		if (strlen(o->port[i].name) == len && memcmp(o->port[i].name, name, len) == 0)
			return &o->port[i];
	return NULL;
}

/* It goes into names of devices, and into DPDK's arguments, where commas part things. */
static bool name_is_good(const char *name, size_t len)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789-_.";

	return len != 0 && len < ABI_NAME_LEN && strspn(name, letters) >= len;
}

/* The iface= argument, by which a steering program is looked for: the whole name or none. */
static int parse_iface(struct option_port *p)
{
	const char *iface = strstr(p->args, ",iface=");
	size_t len;

	if (iface == NULL)
		return 0;
	iface += strlen(",iface=");
	len = strcspn(iface, ",");
	if (len >= sizeof(p->iface)) {
		log_error("--port: \"%s\": no network device has a name of %zu letters", p->name,
			  len);
		return -EINVAL;
	}
	memcpy(p->iface, iface, len);
	return 0;
}

static int parse_port(const char *text, struct options *o)
{
	const char *eq = strchr(text, '=');
	struct option_port *p = &o->port[o->ports];
	size_t name_len, device_len;

	if (eq == NULL || !name_is_good(text, (size_t)(eq - text)) || eq[1] == '\0') {
		log_error("--port: \"%s\" is not NAME=DEVICE with a name of at most %zu letters, "
			  "digits, '-', '_' and '.'",
			  text, sizeof(p->name) - 1);
		return -EINVAL;
	}
	name_len = (size_t)(eq - text);
	device_len = strcspn(eq + 1, ",");
	if (o->ports == PORTS_MAX || find_port(o, text, name_len) != NULL) {
		log_error("--port: \"%s\": %s", text,
			  o->ports == PORTS_MAX ? "too many ports" : "the name is taken");
		return -EINVAL;
	}
	if (device_len == 0 || device_len >= sizeof(p->device) ||
	    strlen(eq + 1) >= sizeof(p->args)) {
		log_error("--port: \"%s\": no device, or too long", text);
		return -EINVAL;
	}
	memset(p, 0, sizeof(*p));
	memcpy(p->name, text, name_len);
	memcpy(p->device, eq + 1, device_len);
	memcpy(p->args, eq + 1, strlen(eq + 1));
	if (parse_iface(p) != 0)
		return -EINVAL;
	o->ports++;
	return 0;
}

static int parse_exception(const char *text, struct options *o)
{
	const char *eq = strchr(text, '=');
	struct option_port *p = eq != NULL ? find_port(o, text, (size_t)(eq - text)) : NULL;

	if (p == NULL || strlen(eq + 1) >= sizeof(p->tap) ||
	    !name_is_good(eq + 1, strlen(eq + 1))) {
		log_error(
			"--exception: \"%s\" is not NAME=NETDEV with the NAME of a --port before it",
			text);
		return -EINVAL;
	}
	if (p->tap[0] != '\0') {
		log_error("--exception: port %s has %s already", p->name, p->tap);
		return -EINVAL;
	}
	memcpy(p->tap, eq + 1, strlen(eq + 1));
	return 0;
}

static int parse_choice(const char *name, const char *text, const char *const *choices, int *out)
{
	for (int i = 0; choices[i] != NULL; i++) {
		if (strcmp(text, choices[i]) == 0) {
			*out = i;
			return 0;
		}
	}
	log_error("--%s: \"%s\" is not among the choices; see --help", name, text);
	return -EINVAL;
}

static int parse_aead(const char *text, enum aead_kind *out)
{
	static const char *const choices[] = { "auto", "vaes", "ipsec-mb", "openssl", NULL };
	int i, err = parse_choice("aead", text, choices, &i);

	if (err == 0)
		*out = (enum aead_kind)(AEAD_KIND_AUTO + i);
	return err;
}

static int parse_isa(const char *text, enum aead_isa *out)
{
	static const char *const choices[] = { "auto", "sse", "avx", "avx2", "avx512", NULL };
	int i, err = parse_choice("isa", text, choices, &i);

	if (err == 0)
		*out = (enum aead_isa)(AEAD_ISA_AUTO + i);
	return err;
}

static int parse_option(int opt, const char *arg, struct options *o)
{
	uint64_t mb;
	int err;

	switch (opt) {
	case OPT_PORT:
		return parse_port(arg, o);
	case OPT_EXCEPTION:
		return parse_exception(arg, o);
	case OPT_SOCKET:
		o->socket = arg;
		return 0;
	case OPT_MAIN_CPU:
		return parse_u32("main-cpu", arg, 0, 4095, &o->main_cpu);
	case OPT_WORKERS:
		return parse_cpus(arg, o);
	case OPT_PRIVATE_QUEUES:
		o->private_queues = true;
		return 0;
	case OPT_IDLE_SLEEP:
		return parse_u32("idle-sleep", arg, 0, 100000, &o->idle_sleep_us);
	case OPT_NO_HUGE:
		o->no_huge = true;
		return 0;
	case OPT_MEMORY:
		return parse_u32("memory", arg, 64, 1u << 20, &o->memory_mb);
	case OPT_MBUFS:
		return parse_u32("mbufs", arg, 1024, MBUFS_MAX, &o->mbufs);
	case OPT_MBUF_SIZE:
		return parse_u32("mbuf-size", arg, 1024, 32768, &o->mbuf_size);
	case OPT_RING:
		return parse_u16("ring", arg, 64, 32768, &o->ring);
	case OPT_MTU:
		return parse_u16("mtu", arg, 1280, 9600, &o->mtu);
	case OPT_PROMISCUOUS:
		o->promiscuous = true;
		return 0;
	case OPT_REASSEMBLY:
		return parse_u32("reassembly", arg, 0, 120, &o->reassembly_s);
	case OPT_EARLY:
		return parse_u32("early", arg, 0, 65536, &o->early);
	case OPT_EARLY_MS:
		return parse_u32("early-ms", arg, 1, 60000, &o->early_ms);
	case OPT_HOLD:
		o->hold = true;
		return 0;
	case OPT_AEAD:
		return parse_aead(arg, &o->aead);
	case OPT_ISA:
		return parse_isa(arg, &o->isa);
	case OPT_MAX_TENANTS:
		return parse_u32("max-tenants", arg, 2, 1u << 20, &o->size.max_tenants);
	case OPT_MAX_ATTACHMENTS:
		return parse_u32("max-attachments", arg, 2, 1u << 20, &o->size.max_attachments);
	case OPT_MAX_TUNNELS:
		return parse_u32("max-tunnels", arg, 2, 1u << 24, &o->size.max_tunnels);
	case OPT_MAX_SAS:
		return parse_u32("max-sas", arg, 2, 1u << 24, &o->size.max_sas);
	case OPT_MAX_NEIGHBOURS:
		return parse_u32("max-neighbours", arg, 16, 1u << 24, &o->size.max_adjacencies);
	case OPT_ROUTE_MEMORY:
		err = parse_number("route-memory", arg, 1, 1u << 17, &mb);
		o->size.route_bytes = err == 0 ? mb << 20 : 0;
		return err;
	case OPT_STAGE_CYCLES:
		o->sample_all = true;
		return 0;
	case OPT_XDP_PROGRAM:
		o->xdp_program = arg;
		return 0;
	case OPT_USER:
		o->user = arg;
		return 0;
	case OPT_HELP:
		fputs(usage, stdout);
		return 1;
	case OPT_VERSION:
		puts("kaido-dataplane " KAIDO_VERSION);
		return 1;
	default:
		log_error("see kaido-dataplane --help");
		return -EINVAL;
	}
}

/*
 * Every descriptor of every queue may hold a buffer, and so may the rings and the neighbours, and what
 * waits for its SA.
 */
static uint32_t mbufs_needed(const struct options *o)
{
	uint64_t queues = (uint64_t)o->ports * o->workers + 1;
	uint64_t need = MBUFS_LEAST + 2 * queues * o->ring + (uint64_t)o->early * o->workers;

	return need < MBUFS_MAX ? (uint32_t)need : MBUFS_MAX;
}

int options_parse(int argc, char **argv, struct options *o)
{
	int opt, err;

	*o = (struct options){
		.socket = "/run/kaido/dataplane.sock",
		.worker_cpu = { 1 },
		.workers = 1,
		.mbuf_size = 2048,
		.ring = 512,
		.reassembly_s = 60, /* RFC 8200 section 4.5 */
		.early = 4096,
		.early_ms = 500,
		.size = {
			.max_tenants = 16384,
			.max_attachments = 32768,
			.max_tunnels = 131072,
			.max_sas = 524288,
			.max_adjacencies = 131072,
			.route_bytes = 4ull << 30,
		},
	};
	while ((opt = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		err = parse_option(opt, optarg, o);
		if (err != 0)
			return err;
	}
	if (optind != argc) {
		log_error("\"%s\" is not an option; see --help", argv[optind]);
		return -EINVAL;
	}
	if (o->ports == 0) {
		log_error("no port: give at least one --port NAME=DEVICE; see --help");
		return -EINVAL;
	}
	if (o->mbufs == 0)
		o->mbufs = mbufs_needed(o);
	else if (o->early > o->mbufs / EARLY_BUFFERS / o->workers)
		o->early = o->mbufs / EARLY_BUFFERS / o->workers;
	return 0;
}
