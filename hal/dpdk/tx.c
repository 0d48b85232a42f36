//go:build dpdk && cgo && linux

#include <errno.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_pause.h>

#include "shim.h"

/*
 * How often a full port is tried again in one call, and how long a try waits: the
 * other side of a ring is a program that needs a moment, some 10 us in all.
 */
#define TRIES 8
#define PAUSES 32

static void put(struct rt_slot *s, struct rte_mbuf *m)
{
	s->mbuf = m;
	s->buf = m->buf_addr;
	s->room = m->buf_len;
	s->off = m->data_off;
}

/* fill gives slots, which are empty, new mbufs as long as there are any. */
static void fill(struct rt_txq *q, const uint16_t *slots, uint16_t n)
{
	struct rte_mbuf *m[RT_BURST];

	while (n > 0) {
		uint16_t some = RTE_MIN(n, (uint16_t)RT_BURST);

		if (rte_pktmbuf_alloc_bulk(q->pool, m, some) != 0)
			return;
		for (uint16_t i = 0; i < some; i++)
			put(&q->slots[slots[i]], m[i]);
		slots += some;
		n -= some;
	}
}

int rt_slot_fill(struct rt_txq *q, uint16_t slot)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(q->pool);

	if (!m)
		return -ENOBUFS;
	put(&q->slots[slot], m);
	return 0;
}

int rt_txq_init(struct rt_txq *q)
{
	q->slots = calloc(q->slots_n, sizeof(*q->slots));
	q->order = calloc(q->slots_n, sizeof(*q->order));
	if (!q->slots || !q->order)
		return -ENOMEM;
	for (uint16_t i = 0; i < q->slots_n; i++)
		q->order[i] = i;
	fill(q, q->order, q->slots_n);
	return 0;
}

void rt_txq_free(struct rt_txq *q)
{
	free(q->slots);
	free(q->order);
}

/*
 * ask tells the port what to do with a packet. The checksum field holds the sum of
 * the pseudo-header with its length, as virtio wants it; tx_prepare of a port
 * that wants something else changes it.
 */
static void ask(const struct rt_txq *q, const struct rt_slot *s, struct rte_mbuf *m)
{
	m->ol_flags = 0;
	m->tx_offload = 0;
	if (!(s->flags & RT_CSUM_BLANK))
		return;
	m->l2_len = s->l3;
	m->l3_len = s->l4 - s->l3;
	m->ol_flags = s->flags & RT_IPV6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4;
	m->ol_flags |= s->flags & RT_CSUM_UDP ? RTE_MBUF_F_TX_UDP_CKSUM : RTE_MBUF_F_TX_TCP_CKSUM;
	if (s->gso_size == 0)
		return;
	m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
	if (!(s->flags & RT_IPV6) && q->ip_csum)
		m->ol_flags |= RTE_MBUF_F_TX_IP_CKSUM;
	m->l4_len = s->payload - s->l4;
	m->tso_segsz = s->gso_size;
}

/* join makes a packet of slots from order[at] on, and returns where the next one begins. */
static uint16_t join(struct rt_txq *q, uint16_t at, struct rte_mbuf **packet)
{
	struct rt_slot *s = &q->slots[q->order[at++]];
	struct rte_mbuf *head = s->mbuf, *last = head;

	ask(q, s, head);
	head->data_off = s->off;
	head->data_len = s->len;
	head->pkt_len = s->len;
	head->nb_segs = 1;
	while (s->flags & RT_MORE && at < q->order_n) {
		s = &q->slots[q->order[at++]];
		s->mbuf->data_off = s->off;
		s->mbuf->data_len = s->len;
		head->pkt_len += s->len;
		head->nb_segs++;
		last->next = s->mbuf;
		last = s->mbuf;
	}
	last->next = NULL;
	*packet = head;
	return at;
}

/* part undoes join: the buffers stay the caller's, each by itself. */
static void part(struct rte_mbuf *m)
{
	while (m) {
		struct rte_mbuf *next = m->next;

		m->next = NULL;
		m->nb_segs = 1;
		m = next;
	}
}

static uint16_t burst(struct rt_txq *q, struct rte_mbuf **m, uint16_t n)
{
	uint16_t sent = rte_eth_tx_burst(q->port, q->queue, m, n);

	for (int try = 0; sent < n && try < TRIES; try++) {
		for (int i = 0; i < PAUSES; i++)
			rte_pause();
		sent += rte_eth_tx_burst(q->port, q->queue, m + sent, n - sent);
	}
	return sent;
}

/* unplugged drops packets of a port whose link is down, as a pulled cable would. */
static uint16_t unplugged(struct rt_txq *q, struct rte_mbuf **m, uint16_t n)
{
	struct rte_eth_link l;

	if (rte_eth_link_get_nowait(q->port, &l) != 0 || l.link_status)
		return 0;
	rte_pktmbuf_free_bulk(m, n);
	q->link_down += n;
	return n;
}

uint16_t rt_tx(struct rt_txq *q)
{
	struct rte_mbuf *m[RT_BURST];
	uint32_t len[RT_BURST];
	uint16_t end[RT_BURST]; /* in order, behind the packet */
	uint16_t n = 0, done = 0, at = 0;

	q->packets = q->rejected = q->link_down = q->full = 0;
	q->bytes = 0;
	for (; at < q->order_n && n < RT_BURST; n++) {
		at = join(q, at, &m[n]);
		end[n] = at;
		len[n] = m[n]->pkt_len;
	}
	while (done < n) {
		uint16_t good = rte_eth_tx_prepare(q->port, q->queue, m + done, n - done);
		uint16_t sent = burst(q, m + done, good);

		for (uint16_t i = done; i < done + sent; i++)
			q->bytes += len[i];
		q->packets += sent;
		done += sent;
		if (sent < good) {
			uint16_t lost = unplugged(q, m + done, n - done);

			q->full = lost == 0;
			done += lost;
			break;
		}
		if (done < n) { /* one that the port cannot send at all */
			rte_pktmbuf_free(m[done++]);
			q->rejected++;
		}
	}
	for (uint16_t i = done; i < n; i++)
		part(m[i]);
	if (done == 0)
		return 0;
	at = end[done - 1];
	for (uint16_t i = 0; i < at; i++)
		q->slots[q->order[i]].mbuf = NULL;
	fill(q, q->order, at);
	return at;
}
