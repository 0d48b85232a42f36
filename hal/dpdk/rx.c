//go:build dpdk && cgo && linux

#include <errno.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_net.h>

#include "shim.h"

/* How much of a packet must lie in its first frame: hal.Contiguous. */
#define CONTIGUOUS 192

#define ETHERNET 14

int rt_rxq_init(struct rt_rxq *q)
{
	q->slots = calloc(q->slots_n, sizeof(*q->slots));
	q->held = calloc(RT_BURST, sizeof(*q->held));
	q->back = calloc(q->slots_n, sizeof(*q->back));
	q->avail = calloc(q->slots_n, sizeof(*q->avail));
	return q->slots && q->held && q->back && q->avail ? 0 : -ENOMEM;
}

void rt_rxq_free(struct rt_rxq *q)
{
	free(q->slots);
	free(q->held);
	free(q->back);
	free(q->avail);
}

void rt_slot_free(struct rt_slot *s)
{
	if (s->mbuf)
		rte_pktmbuf_free_seg(s->mbuf);
	s->mbuf = NULL;
}

/* take_back frees the buffers whose loan has ended: they are single segments. */
static void take_back(struct rt_rxq *q)
{
	struct rte_mbuf *m[RT_BURST];
	unsigned n = 0;

	for (uint16_t i = 0; i < q->back_n; i++) {
		struct rt_slot *s = &q->slots[q->back[i]];

		m[n++] = s->mbuf;
		s->mbuf = NULL;
		if (n == RT_BURST) {
			rte_pktmbuf_free_bulk(m, n);
			n = 0;
		}
	}
	rte_pktmbuf_free_bulk(m, n);
	q->back_n = 0;
}

static void drop_held(struct rt_rxq *q)
{
	while (q->held_at < q->held_n)
		rte_pktmbuf_free(q->held[q->held_at++]);
	q->held_at = q->held_n = 0;
}

void rt_rxq_drain(struct rt_rxq *q, int running)
{
	take_back(q);
	drop_held(q);
	/* Somebody may be sending all the time. */
	for (int rounds = 0; running && rounds < 1024; rounds++) {
		q->held_n = rte_eth_rx_burst(q->port, q->queue, q->held, RT_BURST);
		if (q->held_n == 0)
			return;
		drop_held(q);
	}
}

/*
 * fits says whether a packet can be lent as it is: its first segment holds the
 * headers, none is empty, and there are not too many.
 */
static int fits(const struct rt_rxq *q, const struct rte_mbuf *m)
{
	if (m->data_len < RTE_MIN(m->pkt_len, (uint32_t)CONTIGUOUS) || m->nb_segs > q->max_chain)
		return 0;
	for (; m; m = m->next)
		if (m->data_len == 0)
			return 0;
	return 1;
}

/*
 * describe notes what the port says about a packet. LRO means TCP segments that
 * were merged, or never cut: then, and where the sender left the checksum blank,
 * one has to know where the headers are.
 */
static void describe(struct rt_slot *s, const struct rte_mbuf *m)
{
	uint64_t l4 = m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;
	int super = m->ol_flags & RTE_MBUF_F_RX_LRO && m->tso_segsz != 0;
	struct rte_net_hdr_lens h;
	uint32_t type;

	s->gso_size = 0;
	s->flags = l4 == RTE_MBUF_F_RX_L4_CKSUM_GOOD ? RT_CSUM_VALID : 0;
	if (!super && l4 != RTE_MBUF_F_RX_L4_CKSUM_NONE)
		return;
	type = rte_net_get_ptype(m, &h, RTE_PTYPE_ALL_MASK);
	if (type & RTE_PTYPE_TUNNEL_MASK)
		return;
	switch (type & RTE_PTYPE_L4_MASK) {
	case RTE_PTYPE_L4_TCP:
		s->gso_size = super ? m->tso_segsz : 0;
		break;
	case RTE_PTYPE_L4_UDP:
		s->flags |= RT_CSUM_UDP;
		break;
	default:
		return;
	}
	s->flags |= RT_CSUM_BLANK;
	if (RTE_ETH_IS_IPV6_HDR(type))
		s->flags |= RT_IPV6;
	s->l3 = h.l2_len;
	s->l4 = h.l2_len + h.l3_len;
	s->payload = s->l4 + h.l4_len;
}

/* lend puts the segments of a packet into slots, each by itself. */
static uint16_t lend(struct rt_rxq *q, struct rte_mbuf *m, uint16_t at)
{
	struct rt_slot *first = &q->slots[q->avail[at]];

	describe(first, m);
	q->packets++;
	q->bytes += m->pkt_len;
	while (m) {
		struct rt_slot *s = &q->slots[q->avail[at++]];
		struct rte_mbuf *next = m->next;

		s->mbuf = m;
		s->buf = m->buf_addr;
		s->room = m->buf_len;
		s->off = m->data_off;
		s->len = m->data_len;
		if (s != first)
			s->flags = 0;
		if (next)
			s->flags |= RT_MORE;
		m->next = NULL;
		m->nb_segs = 1;
		m = next;
	}
	return at;
}

/* whole makes a packet that can be lent of one that cannot, or drops it. */
static struct rte_mbuf *whole(struct rt_rxq *q, struct rte_mbuf *m)
{
	struct rte_mbuf *copy;

	if (m->pkt_len < ETHERNET) {
		q->runts++;
		rte_pktmbuf_free(m);
		return NULL;
	}
	if (fits(q, m))
		return m;
	copy = rte_pktmbuf_copy(m, q->pool, 0, UINT32_MAX);
	rte_pktmbuf_free(m);
	if (!copy) {
		q->no_buffer++;
		return NULL;
	}
	if (!fits(q, copy)) {
		q->too_long++;
		rte_pktmbuf_free(copy);
		return NULL;
	}
	return copy;
}

uint16_t rt_rxq_look(struct rt_rxq *q)
{
	if (q->held_at == q->held_n) {
		q->held_at = 0;
		q->held_n = rte_eth_rx_burst(q->port, q->queue, q->held, RT_BURST);
	}
	return q->held_n - q->held_at;
}

uint16_t rt_rx(struct rt_rxq *q)
{
	uint16_t n = 0;

	q->packets = q->runts = q->no_buffer = q->too_long = 0;
	q->bytes = 0;
	take_back(q);
	while (n < q->avail_n) {
		struct rte_mbuf *m;

		if (q->held_at == q->held_n) {
			/* A short burst says that there is no more now. */
			if (q->held_n > 0 && q->held_n < RT_BURST && n > 0) {
				q->held_at = q->held_n = 0;
				break;
			}
			q->held_at = 0;
			q->held_n = rte_eth_rx_burst(q->port, q->queue, q->held, RT_BURST);
			if (q->held_n == 0)
				break;
		}
		m = whole(q, q->held[q->held_at]);
		q->held[q->held_at] = m;
		if (m && m->nb_segs > q->avail_n - n)
			break;
		q->held_at++;
		if (m)
			n = lend(q, m, n);
	}
	return n;
}
