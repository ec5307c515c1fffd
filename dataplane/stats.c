/* SPDX-License-Identifier: BSD-3-Clause */
#include "stats.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096u
#define LINE 64u

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010 /* Linux 5.1 */
#endif

struct stats {
	int fd;       /* as made */
	int readonly; /* the same file opened anew, to hand over; -1: there is no /proc */
	uint64_t size;
	uint8_t *base;
	struct counters_header *header;
};

static uint64_t align_up(uint64_t n, uint64_t to)
{
	return (n + to - 1) / to * to;
}

static struct counters_table table_place(uint64_t *offset, uint32_t rows, uint32_t row_size)
{
	struct counters_table table = { .offset = *offset, .rows = rows, .row_size = row_size };

	*offset = align_up(*offset + (uint64_t)rows * row_size, LINE);
	return table;
}

/* Returns the size of the file. */
static uint64_t layout_plan(const struct tables_size *size, uint32_t writers,
			    struct counters_header *h)
{
	uint64_t end = 0;

	*h = (struct counters_header){
		.magic = COUNTERS_MAGIC,
		.version = COUNTERS_VERSION,
		.writers = writers,
		.region_offset = PAGE,
	};
	h->worker = table_place(&end, 1, sizeof(struct counters_worker));
	h->port = table_place(&end, PORTS_MAX, sizeof(struct counters_port));
	h->port_drops = table_place(&end, PORTS_MAX, sizeof(struct counters_drops));
	h->attachment =
		table_place(&end, size->max_attachments, sizeof(struct counters_attachment));
	h->tenant = table_place(&end, size->max_tenants, sizeof(struct counters_tenant));
	h->tenant_drops = table_place(&end, size->max_tenants, sizeof(struct counters_drops));
	h->tunnel = table_place(&end, size->max_tunnels, sizeof(struct counters_tunnel));
	h->sa = table_place(&end, size->max_sas, sizeof(struct counters_sa));
	h->region_size = align_up(end, PAGE);
	return h->region_offset + h->region_size * writers;
}

/* Without /proc the descriptor that may be written is handed over: the seals still hold. */
static int open_readonly(int fd)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static int file_create(struct stats *s)
{
	int error;

	s->fd = memfd_create("kaido-counters", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (s->fd < 0)
		return -errno;
	if (ftruncate(s->fd, (off_t)s->size) != 0)
		return -errno;
	s->base = mmap(NULL, s->size, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
	if (s->base == MAP_FAILED) {
		error = -errno;
		s->base = NULL;
		return error;
	}
	/* From here on nobody, we included, can make another writable mapping. */
	if (fcntl(s->fd, F_ADD_SEALS,
		  F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) != 0)
		return -errno;
	s->readonly = open_readonly(s->fd);
	return 0;
}

int stats_create(const struct tables_size *size, uint32_t writers, uint64_t boot,
		 struct stats **stats)
{
	struct counters_header header;
	struct timespec now;
	struct stats *s;
	int error;

	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return -ENOMEM;
	s->fd = s->readonly = -1;
	s->size = layout_plan(size, writers, &header);
	error = file_create(s);
	if (error != 0) {
		stats_destroy(s);
		return error;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	header.boot = boot;
	header.started = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	s->header = (struct counters_header *)s->base;
	*s->header = header;
	*stats = s;
	return 0;
}

void stats_destroy(struct stats *s)
{
	if (s == NULL)
		return;
	if (s->base != NULL)
		munmap(s->base, s->size);
	if (s->readonly >= 0)
		close(s->readonly);
	if (s->fd >= 0)
		close(s->fd);
	free(s);
}

void stats_set_tsc_hz(struct stats *s, uint64_t hz)
{
	__atomic_store_n(&s->header->tsc_hz, hz, __ATOMIC_RELAXED);
}

static void *table_row(const struct stats *s, const struct counters_table *table, uint32_t writer,
		       uint32_t row)
{
	return s->base + s->header->region_offset + s->header->region_size * writer +
	       table->offset + (uint64_t)row * table->row_size;
}

struct stats_writer stats_writer(struct stats *s, uint32_t writer)
{
	const struct counters_header *h = s->header;

	return (struct stats_writer){
		.worker = table_row(s, &h->worker, writer, 0),
		.port = table_row(s, &h->port, writer, 0),
		.port_drops = table_row(s, &h->port_drops, writer, 0),
		.attachment = table_row(s, &h->attachment, writer, 0),
		.tenant = table_row(s, &h->tenant, writer, 0),
		.tenant_drops = table_row(s, &h->tenant_drops, writer, 0),
		.tunnel = table_row(s, &h->tunnel, writer, 0),
		.sa = table_row(s, &h->sa, writer, 0),
	};
}

int stats_fd(const struct stats *s)
{
	return s->readonly >= 0 ? s->readonly : s->fd;
}

uint64_t stats_size(const struct stats *s)
{
	return s->size;
}

/* Rows are read by others all the time: whole 64-bit stores only. */
static void row_write(uint64_t *row, const uint64_t *from, uint32_t size)
{
	for (uint32_t i = 0; i < size / 8; i++)
		__atomic_store_n(&row[i], from != NULL ? from[i] : 0, __ATOMIC_RELAXED);
}

/* The main lcore counts nothing of SAs: its rows of them stay untouched and take no memory. */
static uint32_t first_writer(const struct stats *s, const struct counters_table *table)
{
	return table == &s->header->sa ? 1 : 0;
}

static void row_reset(struct stats *s, const struct counters_table *table, uint32_t row)
{
	for (uint32_t w = 0; w < s->header->writers; w++)
		row_write(table_row(s, table, w, row), NULL, table->row_size);
}

void stats_reset_tenant(struct stats *s, uint32_t id)
{
	row_reset(s, &s->header->tenant, id);
	row_reset(s, &s->header->tenant_drops, id);
}

void stats_reset_attachment(struct stats *s, uint32_t id)
{
	row_reset(s, &s->header->attachment, id);
}

void stats_reset_tunnel(struct stats *s, uint32_t id)
{
	row_reset(s, &s->header->tunnel, id);
}

void stats_reset_sa(struct stats *s, uint32_t id)
{
	for (uint32_t w = first_writer(s, &s->header->sa); w < s->header->writers; w++) {
		struct counters_sa *row = table_row(s, &s->header->sa, w, id);

		row_write((uint64_t *)row, NULL, offsetof(struct counters_sa, epoch));
		__atomic_store_n(&row->epoch, row->epoch + 1, __ATOMIC_RELEASE);
	}
}

/* The tables that hold rows of one kind of object. */
static uint32_t kind_tables(const struct stats *s, enum stats_kind kind,
			    const struct counters_table *table[2])
{
	const struct counters_header *h = s->header;
	uint32_t n = 0;

	switch (kind) {
	case STATS_TENANT:
		table[n++] = &h->tenant;
		table[n++] = &h->tenant_drops;
		break;
	case STATS_ATTACHMENT:
		table[n++] = &h->attachment;
		break;
	case STATS_TUNNEL:
		table[n++] = &h->tunnel;
		break;
	case STATS_SA:
		table[n++] = &h->sa;
		break;
	}
	return n;
}

uint64_t *stats_keep(const struct stats *s, enum stats_kind kind, uint32_t id)
{
	const struct counters_table *table[2];
	uint32_t n = kind_tables(s, kind, table);
	size_t size = 0;
	uint8_t *kept, *at;

	for (uint32_t i = 0; i < n; i++)
		size += (size_t)table[i]->row_size *
			(s->header->writers - first_writer(s, table[i]));
	kept = at = malloc(size);
	if (kept == NULL)
		return NULL;
	for (uint32_t i = 0; i < n; i++)
		for (uint32_t w = first_writer(s, table[i]); w < s->header->writers;
		     w++, at += table[i]->row_size)
			memcpy(at, table_row(s, table[i], w, id), table[i]->row_size);
	return (uint64_t *)kept;
}

void stats_put_back(struct stats *s, enum stats_kind kind, uint32_t id, const uint64_t *kept)
{
	const struct counters_table *table[2];
	uint32_t n = kind_tables(s, kind, table);

	for (uint32_t i = 0; i < n; i++)
		for (uint32_t w = first_writer(s, table[i]); w < s->header->writers; w++) {
			row_write(table_row(s, table[i], w, id), kept, table[i]->row_size);
			kept += table[i]->row_size / 8;
		}
}
