//go:build dpdk && cgo && linux

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "shim.h"

/* What a program in C would do at least with a burst. */

unsigned rt_bare_rx(uint16_t port, uint16_t queue)
{
	struct rte_mbuf *m[RT_BURST];
	unsigned n = rte_eth_rx_burst(port, queue, m, RT_BURST);

	rte_pktmbuf_free_bulk(m, n);
	return n;
}

unsigned rt_bare_tx(uint16_t port, uint16_t queue, struct rte_mempool *pool, uint16_t len)
{
	struct rte_mbuf *m[RT_BURST];
	unsigned n;

	if (rte_pktmbuf_alloc_bulk(pool, m, RT_BURST))
		return 0;
	for (unsigned i = 0; i < RT_BURST; i++)
		m[i]->pkt_len = m[i]->data_len = len;
	n = rte_eth_tx_burst(port, queue, m, RT_BURST);
	for (unsigned i = n; i < RT_BURST; i++)
		rte_pktmbuf_free(m[i]);
	return n;
}
