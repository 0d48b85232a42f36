//go:build dpdk && cgo && linux

#include <errno.h>

#include <rte_errno.h>
#include <rte_eth_ring.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "shim.h"

int rt_ring_new(const char *name, struct rte_ring **ring)
{
	*ring = rte_ring_create(name, 1024, SOCKET_ID_ANY, 0);
	return *ring ? 0 : -rte_errno;
}

void rt_ring_free(struct rte_ring *ring)
{
	void *m;

	while (rte_ring_dequeue(ring, &m) == 0)
		rte_pktmbuf_free(m);
	rte_ring_free(ring);
}

int rt_ring_port(const char *name, struct rte_ring *rx, struct rte_ring *tx)
{
	int port = rte_eth_from_rings(name, &rx, 1, &tx, 1, 0);

	return port >= 0 ? port : rte_errno ? -rte_errno : -EIO;
}
