/* SPDX-License-Identifier: BSD-3-Clause */
/* The workers' part of following a peer. */
#include "peer.h"

#include <rte_cycles.h>

#include "event.h"
#include "ip_header.h"
#include "worker.h"

#define UDP_HEADER_LEN 8
#define ASK_AGAIN      20 /* about a millisecond: 2^20 cycles; until then the move is under way */

void peer_look(struct worker *w, const struct packet *p)
{
	struct sa_in *sa = &p->sa->in;
	const uint8_t *udp = p->flags & PACKET_UDP ? p->l3 + p->esp_offset - UDP_HEADER_LEN : NULL;
	struct ip_addr source = ip_source(p->l3, p->family);
	uint32_t now = (uint32_t)(rte_rdtsc() >> ASK_AGAIN);
	struct event_note note = {
		.kind = ABI_EVENT_PEER_MOVED,
		.sa = p->sa_id,
		.generation = sa->generation,
		.count = 1,
		.value = p->sequence,
	};

	/* Where answers go in another form than this packet's says nothing. */
	if (!(sa->flags & SA_UDP) != (udp == NULL))
		return;
	if (ip_equal(source, ip_load(p->family, sa->peer)) &&
	    (udp == NULL || load16(udp) == __atomic_load_n(&sa->peer_port, __ATOMIC_RELAXED)))
		return;
	if (__atomic_load_n(&sa->peer_asked, __ATOMIC_RELAXED) == now)
		return;
	__atomic_store_n(&sa->peer_asked, now, __ATOMIC_RELAXED);
	event_note_source(&note, p->l3, p->family, udp);
	event_note_push(w->events, &note);
}
