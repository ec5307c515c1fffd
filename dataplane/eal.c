/* SPDX-License-Identifier: BSD-3-Clause */
#include "eal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>

#include "log.h"
#include "options.h"

#define CPU_FOLDER         "/sys/devices/system/cpu"
#define EAL_ARGS_MAX       (32 + 4 * PORTS_MAX)
#define EAL_ARG_LEN        1024
#define MEMORY_NO_HUGE_MB  512
#define HUGEPAGES_LEAST_MB 128

struct eal_args {
	char *argv[EAL_ARGS_MAX];
	int argc;
};

static void eal_arg(struct eal_args *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void eal_arg(struct eal_args *a, const char *fmt, ...)
{
	char *arg = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (a->argc < EAL_ARGS_MAX - 1 && vasprintf(&arg, fmt, ap) >= 0)
		a->argv[a->argc++] = arg;
	va_end(ap);
}

static uint64_t hugepages_free_mb(void)
{
	unsigned long long pages = 0, kb = 0;
	FILE *f = fopen("/proc/meminfo", "re");
	char line[128];

	if (f == NULL)
		return 0;
	while (fgets(line, sizeof(line), f) != NULL) {
		(void)sscanf(line, "HugePages_Free: %llu", &pages);
		(void)sscanf(line, "Hugepagesize: %llu", &kb);
	}
	fclose(f);
	return pages * kb / 1024;
}

static void eal_memory(struct eal_args *a, struct options *o)
{
	uint64_t buffers_mb = (uint64_t)o->mbufs * (o->mbuf_size + 512) / (1 << 20);
	uint64_t need = o->memory_mb != 0 ? o->memory_mb : buffers_mb + HUGEPAGES_LEAST_MB;

	if (!o->no_huge && hugepages_free_mb() < need) {
		log_warn("%llu MB of hugepages are free and %llu are needed: going on without, "
			 "which costs speed; reserve some with vm.nr_hugepages",
			 (unsigned long long)hugepages_free_mb(), (unsigned long long)need);
		o->no_huge = true;
	}
	if (o->no_huge) {
		eal_arg(a, "--no-huge");
		eal_arg(a, "--no-shconf");
		eal_arg(a, "-m");
		eal_arg(a, "%llu",
			(unsigned long long)(o->memory_mb != 0          ? o->memory_mb
					     : need > MEMORY_NO_HUGE_MB ? need
									: MEMORY_NO_HUGE_MB));
	} else {
		eal_arg(a, "--in-memory");
		if (o->memory_mb != 0) {
			eal_arg(a, "-m");
			eal_arg(a, "%u", o->memory_mb);
		}
	}
}

/* Our XDP programs lie beside this one in a build, and in the library folder when installed. */
static void xdp_program(const char *name, int len, char *buf, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", buf, size / 2);
	char *slash;

	if (n > 0) {
		buf[n] = '\0';
		slash = strrchr(buf, '/');
		snprintf(slash, size - (size_t)(slash - buf), "/xdp/%.*s.bpf.o", len, name);
		if (access(buf, R_OK) == 0)
			return;
	}
	snprintf(buf, size, "%s/%.*s.bpf.o", KAIDO_XDP_FOLDER, len, name);
}

/* xdp_prog= names a file or, without a slash, one of our programs. Absent: the steering program. */
static void eal_xdp(struct eal_args *a, const struct options *o, const struct option_port *p)
{
	const char *given = strstr(p->args, "xdp_prog=");
	const char *name = given != NULL ? given + strlen("xdp_prog=") : "steer";
	int len = (int)strcspn(name, ",");
	char file[512];

	if (memchr(name, '/', (size_t)len) != NULL) {
		eal_arg(a, "--vdev=%s", p->args);
		return;
	}
	xdp_program(name, len, file, sizeof(file));
	if (given != NULL)
		eal_arg(a, "--vdev=%.*s%s%s", (int)(name - p->args), p->args, file, name + len);
	else
		eal_arg(a, "--vdev=%s,xdp_prog=%s", p->args,
			o->xdp_program != NULL ? o->xdp_program : file);
}

static void eal_port(struct eal_args *a, const struct options *o, const struct option_port *p)
{
	if (strncmp(p->device, "net_", 4) != 0) {
		eal_arg(a, "-a");
		eal_arg(a, "%s", p->args);
	} else if (strncmp(p->device, "net_af_xdp", 10) == 0) {
		eal_xdp(a, o, p);
	} else {
		eal_arg(a, "--vdev=%s", p->args);
	}
	if (p->tap[0] != '\0')
		eal_arg(a, "--vdev=net_tap_%s,iface=%s", p->name, p->tap);
}

static bool any_pci(const struct options *o)
{
	for (uint32_t i = 0; i < o->ports; i++)
		if (strncmp(o->port[i].device, "net_", 4) != 0)
			return true;
	return false;
}

static void eal_cores(struct eal_args *a, const struct options *o)
{
	char list[WORKERS_MAX * 12 + 16];
	int n = snprintf(list, sizeof(list), "0@%u", o->main_cpu);

	for (uint32_t i = 0; i < o->workers; i++)
		n += snprintf(list + n, sizeof(list) - (size_t)n, ",%u@%u", i + 1,
			      o->worker_cpu[i]);
	eal_arg(a, "--lcores=%s", list);
	eal_arg(a, "--main-lcore=0");
}

/* "0-7": those that are online, as the kernel writes them. */
static void cpus_online(char *text, size_t size)
{
	FILE *file = fopen(CPU_FOLDER "/online", "re");

	if (file == NULL || fgets(text, (int)size, file) == NULL)
		snprintf(text, size, "unknown");
	text[strcspn(text, "\n")] = '\0';
	if (file != NULL)
		fclose(file);
}

/* Only a CPU that is online has a topology. */
static int cpu_check(const char *option, uint32_t cpu)
{
	char path[64], online[128];

	snprintf(path, sizeof(path), CPU_FOLDER "/cpu%u/topology", cpu);
	if (access(path, F_OK) == 0)
		return 0;
	cpus_online(online, sizeof(online));
	log_error("%s: CPU %u is not there; name some of %s", option, cpu, online);
	return -ENODEV;
}

int eal_cpus_check(const struct options *o)
{
	int err = cpu_check("--main-cpu", o->main_cpu);

	for (uint32_t i = 0; i < o->workers && err == 0; i++)
		err = cpu_check("--workers", o->worker_cpu[i]);
	return err;
}

int eal_start(struct options *o)
{
	struct eal_args a = { .argc = 0 };
	int n = eal_cpus_check(o);

	if (n != 0)
		return n;
	eal_arg(&a, "kaido-dataplane");
	eal_arg(&a, "--file-prefix=kaido-%d", (int)getpid());
	eal_arg(&a, "--no-telemetry");
	eal_arg(&a, "--log-level=4");
	eal_cores(&a, o);
	eal_memory(&a, o);
	if (!any_pci(o))
		eal_arg(&a, "--no-pci");
	for (uint32_t i = 0; i < o->ports; i++)
		eal_port(&a, o, &o->port[i]);
	n = rte_eal_init(a.argc, a.argv);
	if (n < 0) {
		log_error("DPDK does not start: %s; its own lines above say more",
			  rte_strerror(rte_errno));
		return rte_errno != 0 ? -rte_errno : -EIO;
	}
	/* EAL keeps pointers into argv. */
	return 0;
}
