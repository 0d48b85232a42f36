//go:build dpdk && cgo && linux

#include <errno.h>
#include <string.h>

#include <rte_dev.h>
#include <rte_ethdev.h>

#include "shim.h"

#define RX_CSUM (RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM)
#define TX_CSUM (RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM)

/* A pair of what DPDK calls something and what the shim calls it. */
struct bit {
	uint64_t dpdk;
	uint32_t rt;
};

static const struct bit rx_bits[] = {
	{RX_CSUM, RT_CSUM},
	{RTE_ETH_RX_OFFLOAD_TCP_LRO, RT_SUPER},
	{RTE_ETH_RX_OFFLOAD_SCATTER, RT_CHAINS},
};

static const struct bit tx_bits[] = {
	{TX_CSUM, RT_CSUM},
	{RTE_ETH_TX_OFFLOAD_IPV4_CKSUM, RT_IP_CSUM},
	{RTE_ETH_TX_OFFLOAD_TCP_TSO, RT_SUPER},
	{RTE_ETH_TX_OFFLOAD_MULTI_SEGS, RT_CHAINS},
};

#define N(a) (sizeof(a) / sizeof((a)[0]))

static uint32_t to_rt(const struct bit *b, size_t n, uint64_t have)
{
	uint32_t r = 0;

	for (size_t i = 0; i < n; i++)
		if ((have & b[i].dpdk) == b[i].dpdk)
			r |= b[i].rt;
	return r;
}

static uint64_t to_dpdk(const struct bit *b, size_t n, uint32_t want)
{
	uint64_t r = 0;

	for (size_t i = 0; i < n; i++)
		if (want & b[i].rt)
			r |= b[i].dpdk;
	return r;
}

int rt_port_probe(const char *devargs) { return rte_dev_probe(devargs); }

int rt_port_find(const char *name)
{
	uint16_t port;
	int r = rte_eth_dev_get_port_by_name(name, &port);

	return r ? r : port;
}

int rt_port_count(void) { return rte_eth_dev_count_avail(); }

int rt_port_facts(uint16_t port, struct rt_facts *f)
{
	struct rte_eth_dev_info di;
	struct rte_ether_addr mac;
	int r = rte_eth_dev_info_get(port, &di);

	memset(f, 0, sizeof(*f));
	if (r == 0)
		r = rte_eth_macaddr_get(port, &mac);
	if (r == 0)
		r = rte_eth_dev_get_mtu(port, &f->mtu);
	if (r)
		return r;
	strncpy(f->driver, di.driver_name, sizeof(f->driver) - 1);
	memcpy(f->mac, mac.addr_bytes, sizeof(f->mac));
	f->min_mtu = di.min_mtu;
	f->max_mtu = di.max_mtu;
	f->max_rxq = di.max_rx_queues;
	f->max_txq = di.max_tx_queues;
	f->max_chain = di.tx_desc_lim.nb_seg_max;
	f->rx = to_rt(rx_bits, N(rx_bits), di.rx_offload_capa);
	f->tx = to_rt(tx_bits, N(tx_bits), di.tx_offload_capa);
	if (di.flow_type_rss_offloads)
		f->rx |= RT_RSS;
	f->promiscuous = rte_eth_promiscuous_get(port) == 1;
	return 0;
}

static int setup_queues(uint16_t port, const struct rt_setup *s, const struct rte_eth_dev_info *di, const struct rte_eth_conf *c)
{
	struct rte_eth_rxconf rxc = di->default_rxconf;
	struct rte_eth_txconf txc = di->default_txconf;
	uint16_t rxd = s->rxd, txd = s->txd;
	int socket = rte_eth_dev_socket_id(port);
	int r = rte_eth_dev_adjust_nb_rx_tx_desc(port, &rxd, &txd);

	rxc.offloads = c->rxmode.offloads;
	txc.offloads = c->txmode.offloads;
	for (uint16_t q = 0; r == 0 && q < s->queues; q++) {
		r = rte_eth_rx_queue_setup(port, q, rxd, socket, &rxc, s->pool);
		if (r == 0)
			r = rte_eth_tx_queue_setup(port, q, txd, socket, &txc);
	}
	return r;
}

int rt_port_start(uint16_t port, const struct rt_setup *s)
{
	struct rte_eth_conf c;
	struct rte_eth_dev_info di;
	int r = rte_eth_dev_info_get(port, &di);

	memset(&c, 0, sizeof(c));
	c.rxmode.mtu = s->mtu;
	c.rxmode.offloads = to_dpdk(rx_bits, N(rx_bits), s->rx);
	c.txmode.offloads = to_dpdk(tx_bits, N(tx_bits), s->tx);
	/* A port that knows no limit, such as virtio, accepts none. */
	if (s->rx & RT_SUPER && di.max_lro_pkt_size)
		c.rxmode.max_lro_pkt_size = RTE_MIN(di.max_lro_pkt_size, s->max_super);
	/* RSS must be asked for only where it is offered: others refuse it. */
	if (s->queues > 1 && s->rx & RT_RSS) {
		c.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		c.rx_adv_conf.rss_conf.rss_hf = di.flow_type_rss_offloads & (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP);
	}
	if (r == 0)
		r = rte_eth_dev_configure(port, s->queues, s->queues, &c);
	if (r == 0)
		r = setup_queues(port, s, &di, &c);
	if (r == 0)
		r = rte_eth_dev_start(port);
	return r;
}

int rt_port_restart(uint16_t port)
{
	int r = rte_eth_dev_stop(port);

	return r ? r : rte_eth_dev_start(port);
}

int rt_port_close(uint16_t port)
{
	struct rte_eth_dev_info di;
	int info = rte_eth_dev_info_get(port, &di);
	int stop = rte_eth_dev_stop(port);
	int r = rte_eth_dev_close(port);

	if (info == 0 && di.device) {
		int gone = rte_dev_remove(di.device);

		r = r ? r : gone;
	}
	return r ? r : stop == -ENOTSUP ? 0 : stop;
}

int rt_port_up(uint16_t port)
{
	struct rte_eth_link l;

	return rte_eth_link_get_nowait(port, &l) == 0 && l.link_status;
}

int rt_port_counters(uint16_t port, struct rt_counters *c)
{
	struct rte_eth_stats s;
	int r = rte_eth_stats_get(port, &s);

	memset(c, 0, sizeof(*c));
	if (r == 0) {
		c->missed = s.imissed;
		c->rx_errors = s.ierrors;
		c->tx_errors = s.oerrors;
		c->no_mbuf = s.rx_nombuf;
	}
	return r;
}

int rt_port_xstats(uint16_t port, char (**names)[64], uint64_t **values)
{
	int n = rte_eth_xstats_get_names(port, NULL, 0);
	struct rte_eth_xstat_name *xn;
	struct rte_eth_xstat *xv;
	int got = 0;

	if (n <= 0)
		return n;
	xn = calloc(n, sizeof(*xn));
	xv = calloc(n, sizeof(*xv));
	*names = calloc(n, sizeof(**names));
	*values = calloc(n, sizeof(**values));
	if (xn && xv && *names && *values && rte_eth_xstats_get_names(port, xn, n) == n)
		got = rte_eth_xstats_get(port, xv, n);
	for (int i = 0; i < got && i < n; i++) {
		memcpy((*names)[i], xn[xv[i].id].name, RTE_ETH_XSTATS_NAME_SIZE);
		(*values)[i] = xv[i].value;
	}
	free(xn);
	free(xv);
	return got < 0 ? got : RTE_MIN(got, n);
}

int rt_port_set_mac(uint16_t port, const uint8_t mac[6])
{
	struct rte_ether_addr a;

	memcpy(a.addr_bytes, mac, sizeof(a.addr_bytes));
	return rte_eth_dev_default_mac_addr_set(port, &a);
}

int rt_port_set_mtu(uint16_t port, uint16_t mtu) { return rte_eth_dev_set_mtu(port, mtu); }

int rt_port_set_promiscuous(uint16_t port, int on)
{
	return on ? rte_eth_promiscuous_enable(port) : rte_eth_promiscuous_disable(port);
}

int rt_port_set_allmulticast(uint16_t port, int on)
{
	return on ? rte_eth_allmulticast_enable(port) : rte_eth_allmulticast_disable(port);
}
