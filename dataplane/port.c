/* SPDX-License-Identifier: BSD-3-Clause */
#include "port.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <rte_ethdev.h>

#include "abi/counters.h"
#include "log.h"
#include "xdp/steer_stats.h"

/* What the walks profit from; what a device lacks is done in software. */
#define RX_OFFLOADS (RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_VLAN_STRIP)
#define TX_OFFLOADS (RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE)
#define L2_MOST     (RTE_ETHER_HDR_LEN + 4u) /* with a tag */
#define RSS_FIELDS  (RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_ESP)

/*
 * Frames of the port's size that one buffer does not hold come and go in several. Only then is
 * the device asked for it: it costs the speed of its simplest send path, and of that which frees a
 * burst at once (which wants buffers by themselves).
 */
static void port_segments(struct port *port, const struct rte_eth_dev_info *info, uint16_t mtu,
			  struct rte_mempool *pool)
{
	uint32_t room = rte_pktmbuf_data_room_size(pool) - RTE_PKTMBUF_HEADROOM;
	/* These send them and do not say so. */
	bool silent = strcmp(info->driver_name, "net_pcap") == 0 ||
		      strcmp(info->driver_name, "net_null") == 0;

	if (mtu + L2_MOST <= room)
		return;
	port->rx_offloads |= info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER;
	port->tx_segments = silent || (info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS);
	if (port->tx_segments) {
		port->tx_offloads |= info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
		port->tx_offloads &= ~RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
	} else {
		log_warn(
			"port %s: %s can't send frames from several buffers: those of more than %u "
			"bytes are dropped; raise --mbuf-size to %u",
			port->name, info->driver_name, room, mtu + L2_MOST);
	}
}

static int port_configure(struct port *port, const struct rte_eth_dev_info *info,
			  const struct port_options *options, struct rte_mempool *pool)
{
	uint16_t mtu = options->mtu != 0 ? options->mtu : RTE_ETHER_MTU;
	struct rte_eth_conf conf = { 0 };
	int err;

	port->rx_queues = (uint16_t)RTE_MIN(options->queues, info->max_rx_queues);
	port->tx_queues = (uint16_t)RTE_MIN(options->queues, info->max_tx_queues);
	if (port->rx_queues == 0 || port->tx_queues == 0)
		return -ENOTSUP;
	port->rx_offloads = info->rx_offload_capa & RX_OFFLOADS;
	port->tx_offloads = info->tx_offload_capa & TX_OFFLOADS;
	port_segments(port, info, mtu, pool);
	conf.rxmode.mtu = options->mtu;
	conf.rxmode.offloads = port->rx_offloads;
	conf.txmode.offloads = port->tx_offloads;
	if (port->rx_queues > 1 && (info->flow_type_rss_offloads & RSS_FIELDS) != 0) {
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf = info->flow_type_rss_offloads & RSS_FIELDS;
	}
	err = rte_eth_dev_configure(port->dpdk_id, port->rx_queues, port->tx_queues, &conf);
	if (err != 0 && (port->rx_queues > 1 || port->tx_queues > 1)) {
		/* Some virtual devices promise queues that the other end does not have. */
		log_warn("port %s: %u queues refused (%s), going on with one", port->name,
			 options->queues, strerror(-err));
		port->rx_queues = port->tx_queues = 1;
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_NONE;
		err = rte_eth_dev_configure(port->dpdk_id, 1, 1, &conf);
	}
	return err;
}

static int port_queues(struct port *port, const struct port_options *options,
		       struct rte_mempool *pool)
{
	uint16_t rx_ring = options->rx_ring, tx_ring = options->tx_ring;
	int socket = rte_eth_dev_socket_id(port->dpdk_id);
	int err = rte_eth_dev_adjust_nb_rx_tx_desc(port->dpdk_id, &rx_ring, &tx_ring);

	for (uint16_t q = 0; err == 0 && q < port->rx_queues; q++)
		err = rte_eth_rx_queue_setup(port->dpdk_id, q, rx_ring, (unsigned int)socket, NULL,
					     pool);
	for (uint16_t q = 0; err == 0 && q < port->tx_queues; q++)
		err = rte_eth_tx_queue_setup(port->dpdk_id, q, tx_ring, (unsigned int)socket, NULL);
	return err;
}

static void port_report(const struct port *port, const struct rte_eth_dev_info *info)
{
	log_info("port %s: %s (%s), %02x:%02x:%02x:%02x:%02x:%02x, %u rx and %u tx queues, MTU %u, "
		 "rx offloads %#" PRIx64 ", tx offloads %#" PRIx64,
		 port->name, port->device, info->driver_name, port->mac[0], port->mac[1],
		 port->mac[2], port->mac[3], port->mac[4], port->mac[5], port->rx_queues,
		 port->tx_queues, port->mtu, port->rx_offloads, port->tx_offloads);
}

int port_open(struct port *port, const char *name, const char *device,
	      const struct port_options *options, struct rte_mempool *pool)
{
	struct rte_eth_dev_info info;
	struct rte_ether_addr mac;
	int err;

	snprintf(port->name, sizeof(port->name), "%s", name);
	snprintf(port->device, sizeof(port->device), "%s", device);
	port->exception = -1;
	err = rte_eth_dev_get_port_by_name(device, &port->dpdk_id);
	if (err != 0) {
		log_error("port %s: there is no device %s; check its arguments, and for PCI its "
			  "binding to vfio-pci",
			  name, device);
		return err;
	}
	err = rte_eth_dev_info_get(port->dpdk_id, &info);
	if (err == 0)
		err = port_configure(port, &info, options, pool);
	if (err == 0 && options->mtu != 0)
		err = rte_eth_dev_set_mtu(port->dpdk_id, options->mtu);
	if (err == -ENOTSUP && options->mtu != 0)
		err = 0; /* such a device goes by what it was configured with */
	if (err == 0)
		err = port_queues(port, options, pool);
	if (err == 0)
		err = rte_eth_dev_start(port->dpdk_id);
	if (err != 0) {
		log_error("port %s: cannot start %s: %s", name, device, strerror(-err));
		return err;
	}
	if (options->promiscuous && rte_eth_promiscuous_enable(port->dpdk_id) != 0)
		log_info("port %s: no promiscuous mode", name);
	/* Neighbour solicitations come to groups. */
	if (!options->promiscuous && rte_eth_allmulticast_enable(port->dpdk_id) != 0)
		log_info("port %s: no all-multicast mode", name);
	if (rte_eth_macaddr_get(port->dpdk_id, &mac) == 0)
		memcpy(port->mac, mac.addr_bytes, sizeof(port->mac));
	if (rte_eth_dev_get_mtu(port->dpdk_id, &port->mtu) != 0 || port->mtu == 0)
		port->mtu = RTE_ETHER_MTU;
	port_report(port, &info);
	return 0;
}

void port_close(struct port *port)
{
	steer_close(port->steer);
	port->steer = NULL;
	rte_eth_dev_stop(port->dpdk_id);
	rte_eth_dev_close(port->dpdk_id);
}

void port_describe(const struct port *port, struct abi_port *out)
{
	struct rte_eth_dev_info info;
	struct rte_eth_link link = { 0 };

	memset(out, 0, sizeof(*out));
	snprintf(out->name, sizeof(out->name), "%s", port->name);
	snprintf(out->device, sizeof(out->device), "%s", port->device);
	if (rte_eth_dev_info_get(port->dpdk_id, &info) == 0)
		snprintf(out->driver, sizeof(out->driver), "%s", info.driver_name);
	rte_eth_link_get_nowait(port->dpdk_id, &link);
	memcpy(out->mac, port->mac, sizeof(out->mac));
	out->index = port->index;
	out->speed = link.link_speed == RTE_ETH_SPEED_NUM_UNKNOWN ? 0 : link.link_speed;
	out->mtu = port->mtu;
	out->rx_queues = port->rx_queues;
	out->tx_queues = port->tx_queues;
	out->link = link.link_status == RTE_ETH_LINK_UP;
	out->rx_offloads = port->rx_offloads;
	out->tx_offloads = port->tx_offloads;
	if (port->steer != NULL)
		out->xdp = steer_read(port->steer, out->steered) == 0;
}

void port_device_counters(const struct port *port, struct counters_port *row)
{
	struct rte_eth_stats stats;

	if (rte_eth_stats_get(port->dpdk_id, &stats) != 0)
		return;
	row->rx_missed = stats.imissed + stats.rx_nombuf;
	row->device_errors = stats.ierrors + stats.oerrors;
}
