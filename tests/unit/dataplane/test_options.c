/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <getopt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "eal.h"
#include "options.h"

#define ARGS_MAX 80

/* Arguments parted by spaces. */
static int parse(const char *line, struct options *o)
{
	static char copy[8192]; /* options keep pointers into it */
	char *argv[ARGS_MAX] = { (char[]){ "kaido-dataplane" } }, *save, *word;
	int argc = 1;

	assert_true(strlen(line) < sizeof(copy));
	memcpy(copy, line, strlen(line) + 1);
	for (word = strtok_r(copy, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save)) {
		assert_true(argc < ARGS_MAX - 1);
		argv[argc++] = word;
	}
	argv[argc] = NULL;
	optind = 0;
	opterr = 0;
	return options_parse(argc, argv, o);
}

static void test_defaults(void **state)
{
	struct options o;

	assert_int_equal(parse("--port wan=0000:01:00.0", &o), 0);
	assert_string_equal(o.socket, "/run/kaido/dataplane.sock");
	assert_int_equal(o.ports, 1);
	assert_string_equal(o.port[0].name, "wan");
	assert_string_equal(o.port[0].device, "0000:01:00.0");
	assert_string_equal(o.port[0].args, "0000:01:00.0");
	assert_string_equal(o.port[0].iface, "");
	assert_int_equal(o.workers, 1);
	assert_int_equal(o.worker_cpu[0], 1);
	assert_int_equal(o.main_cpu, 0);
	assert_false(o.no_huge || o.hold || o.promiscuous || o.sample_all);
	assert_int_equal(o.size.route_bytes, 4ull << 30);
	assert_null(o.user);
	assert_int_equal(o.early, 4096);
	assert_int_equal(o.early_ms, 500);
}

static void test_all(void **state)
{
	struct options o;

	assert_int_equal(
		parse("--port lan=net_af_xdp0,iface=eth1,start_queue=0 --port w.a-n_2=net_null1 "
		      "--exception lan=host0 --socket /tmp/s --main-cpu 3 --workers 1,4-7,2 "
		      "--idle-sleep 50 --no-huge --memory 512 --mbufs 2048 --mbuf-size 4096 "
		      "--ring 128 --mtu 1400 --promiscuous --hold --aead openssl --isa avx2 "
		      "--max-tenants 2 --max-attachments 3 --max-tunnels 4 --max-sas 5 "
		      "--max-neighbours 16 --route-memory 64 --stage-cycles --xdp-program /x "
		      "--user nobody --early 40 --early-ms 250",
		      &o),
		0);
	assert_string_equal(o.port[0].device, "net_af_xdp0");
	assert_string_equal(o.port[0].args, "net_af_xdp0,iface=eth1,start_queue=0");
	assert_string_equal(o.port[0].iface, "eth1");
	assert_string_equal(o.port[0].tap, "host0");
	assert_string_equal(o.port[1].name, "w.a-n_2");
	assert_int_equal(o.workers, 6);
	assert_memory_equal(o.worker_cpu, ((uint32_t[]){ 1, 4, 5, 6, 7, 2 }), 6 * 4);
	assert_int_equal(o.main_cpu, 3);
	assert_int_equal(o.idle_sleep_us, 50);
	assert_int_equal(o.memory_mb, 512);
	assert_int_equal(o.mbufs, 2048);
	assert_int_equal(o.mbuf_size, 4096);
	assert_int_equal(o.ring, 128);
	assert_int_equal(o.mtu, 1400);
	assert_int_equal(o.aead, AEAD_KIND_OPENSSL);
	assert_int_equal(o.isa, AEAD_ISA_AVX2);
	assert_int_equal(o.size.max_tenants, 2);
	assert_int_equal(o.size.max_adjacencies, 16);
	assert_int_equal(o.size.route_bytes, 64 << 20);
	assert_true(o.no_huge && o.hold && o.promiscuous && o.sample_all);
	assert_string_equal(o.user, "nobody");
	assert_int_equal(o.early, 40);
	assert_int_equal(o.early_ms, 250);
	assert_int_equal(parse("--help", &o), 1);
	assert_int_equal(parse("--version", &o), 1);
}

/* What every queue's descriptors may hold, both ways, and something to work with. */
static void test_buffers_for_the_queues(void **state)
{
	struct options o;
	uint32_t few;

	assert_int_equal(parse("--port a=net_null0 --port b=net_null1 --workers 1-8", &o), 0);
	assert_true(o.mbufs >= 2 * 8 * 2 * 512 + 8192);
	assert_int_equal(parse("--port a=net_null0 --workers 0-63 --ring 32768", &o), 0);
	assert_true(o.mbufs >= 64 * 2 * 32768);
	assert_int_equal(parse("--port a=net_null0 --workers 0-3 --early 0", &o), 0);
	few = o.mbufs;
	assert_int_equal(parse("--port a=net_null0 --workers 0-3 --early 500", &o), 0);
	assert_int_equal(o.mbufs, few + 4 * 500);
	assert_int_equal(parse("--port a=net_null0 --workers 0-3 --mbufs 8192", &o), 0);
	assert_int_equal(o.early, 8192 / 8 / 4);
}

static void test_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"--port",
		"--port wan",
		"--port =net_null0",
		"--port wan=",
		"--port wan=,iface=x",
		"--port a,b=net_null0",
		"--port a/b=net_null0",
		"--port a=net_null0 --port a=net_null1",
		"--port abcdefghijklmnopqrstuvwxyz-12345678=net_null0",
		"--port a=net_af_xdp0,iface=a-name-of-sixteen",
		"--port a=net_null_with_a_name_that_is_longer_than_any_device_should_ever_have_it",
		"--port a=net_null0 stray",
		"--port a=net_null0 --no-such-option",
		"--port a=net_null0 --exception b=host0",
		"--port a=net_null0 --exception a=",
		"--port a=net_null0 --exception a",
		"--port a=net_null0 --exception a=a-name-of-sixteen",
		"--port a=net_null0 --exception a=x,y",
		"--port a=net_null0 --exception a=longer-name --exception a=x",
		"--port a=net_null0 --workers ,",
		"--port a=net_null0 --workers 1,",
		"--port a=net_null0 --workers ,1",
		"--port a=net_null0 --workers 1,,2",
		"--port a=net_null0 --workers 1-",
		"--port a=net_null0 --workers -1",
		"--port a=net_null0 --workers 5-2",
		"--port a=net_null0 --workers 1,5-2",
		"--port a=net_null0 --workers 1x",
		"--port a=net_null0 --workers 4096",
		"--port a=net_null0 --workers 0-64",
		"--port a=net_null0 --workers 0-18446744073709551615",
		"--port a=net_null0 --main-cpu 4096",
		"--port a=net_null0 --memory -1",
		"--port a=net_null0 --memory 63",
		"--port a=net_null0 --memory 1e3",
		"--port a=net_null0 --mbufs 99999999999999999999",
		"--port a=net_null0 --mbuf-size 65536",
		"--port a=net_null0 --ring 63",
		"--port a=net_null0 --ring 65600",
		"--port a=net_null0 --mtu 1279",
		"--port a=net_null0 --mtu 9601",
		"--port a=net_null0 --aead des",
		"--port a=net_null0 --isa mmx",
		"--port a=net_null0 --max-sas 1",
		"--port a=net_null0 --max-sas 4294967298",
		"--port a=net_null0 --route-memory 0",
	};
	struct options o;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		print_message("%s\n", bad[i]);
		assert_int_equal(parse(bad[i], &o), -EINVAL);
	}
}

static void test_ports_max(void **state)
{
	char line[4096] = "", one[64];
	struct options o;

	for (int i = 0; i < PORTS_MAX; i++) {
		int n = snprintf(one, sizeof(one), "--port=p%d=net_null%d ", i, i);

		memcpy(line + strlen(line), one, (size_t)n + 1);
	}
	assert_int_equal(parse(line, &o), 0);
	assert_int_equal(o.ports, PORTS_MAX);
	memcpy(line + strlen(line), "--port=q=net_null99", 20);
	assert_int_equal(parse(line, &o), -EINVAL);
}

/* Nobody has 4096 CPUs, and everybody has the first one. */
static void test_cpus(void **state)
{
	struct options o;

	assert_int_equal(parse("--port a=net_null0 --main-cpu 0 --workers 0", &o), 0);
	assert_int_equal(eal_cpus_check(&o), 0);
	assert_int_equal(parse("--port a=net_null0 --main-cpu 0 --workers 0,4095", &o), 0);
	assert_int_equal(eal_cpus_check(&o), -ENODEV);
	assert_int_equal(parse("--port a=net_null0 --main-cpu 4095 --workers 0", &o), 0);
	assert_int_equal(eal_cpus_check(&o), -ENODEV);
	assert_int_equal(eal_start(&o), -ENODEV); /* and DPDK is not asked */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_buffers_for_the_queues),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_ports_max),
		cmocka_unit_test(test_cpus),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
