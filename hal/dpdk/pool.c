//go:build dpdk && cgo && linux

#include <errno.h>

#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#include "shim.h"

int rt_pool_new(const char *name, unsigned n, unsigned room, struct rte_mempool **pool)
{
	if (room + RTE_PKTMBUF_HEADROOM > UINT16_MAX)
		return -EINVAL;
	*pool = rte_pktmbuf_pool_create(name, n, 0, 0, room + RTE_PKTMBUF_HEADROOM, SOCKET_ID_ANY);
	return *pool ? 0 : -rte_errno;
}

unsigned rt_pool_in_use(struct rte_mempool *pool) { return rte_mempool_in_use_count(pool); }

void rt_pool_free(struct rte_mempool *pool) { rte_mempool_free(pool); }
