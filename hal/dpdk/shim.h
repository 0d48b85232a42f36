/*
 * What Go sees of DPDK: functions that cannot be inlined, and structures in C
 * memory that both sides read. DPDK's own headers stay in the .c files, so that
 * nothing of their inline code has to be understood by cgo.
 *
 * Functions return 0 or a number that is not negative, or a negated errno.
 */
#ifndef RINGTAIL_DPDK_SHIM_H
#define RINGTAIL_DPDK_SHIM_H

#include <stdint.h>
#include <stdlib.h>

struct rte_mempool;
struct rte_mbuf;
struct rte_ring;

/* Most packets of one call of the port's burst functions. */
#define RT_BURST 64

/* eal.c */
int rt_eal_init(int argc, char **argv);
int rt_eal_log_to(int fd);
const char *rt_eal_runtime_dir(void);
const char *rt_eal_version(void);
const char *rt_strerror(int err);

/* pool.c: a pool has no cache, because no thread of Go is known to DPDK. */
int rt_pool_new(const char *name, unsigned n, unsigned room, struct rte_mempool **pool);
unsigned rt_pool_in_use(struct rte_mempool *pool);
void rt_pool_free(struct rte_mempool *pool);

/* ring.c: two rings make a cable, one for each direction. */
int rt_ring_new(const char *name, struct rte_ring **ring);
void rt_ring_free(struct rte_ring *ring); /* and the packets in it */
int rt_ring_port(const char *name, struct rte_ring *rx, struct rte_ring *tx);

/* What a port can do, in rt_facts and rt_setup. */
enum {
	RT_CSUM = 1,      /* TCP and UDP */
	RT_IP_CSUM = 2,   /* the header's of IPv4 */
	RT_SUPER = 4,     /* tx: TSO; rx: LRO */
	RT_CHAINS = 8,    /* packets of several mbufs */
	RT_RSS = 16,      /* rx */
};

struct rt_facts {
	char driver[32];
	uint8_t mac[6];
	uint16_t mtu, min_mtu, max_mtu;
	uint16_t max_rxq, max_txq;
	uint16_t max_chain; /* mbufs of a packet that is sent; 0: no limit */
	uint32_t rx, tx;    /* RT_… */
	uint8_t promiscuous;
};

struct rt_setup {
	uint16_t queues, mtu, rxd, txd;
	uint32_t rx, tx; /* RT_…: what to use of rt_facts */
	uint32_t max_super;
	struct rte_mempool *pool;
};

struct rt_counters {
	uint64_t missed, rx_errors, tx_errors, no_mbuf;
};

/* port.c */
int rt_port_probe(const char *devargs);
int rt_port_find(const char *name); /* the port's number */
int rt_port_count(void);
int rt_port_facts(uint16_t port, struct rt_facts *f);
int rt_port_start(uint16_t port, const struct rt_setup *s);
int rt_port_restart(uint16_t port);
int rt_port_close(uint16_t port); /* and unplug its device */
int rt_port_up(uint16_t port);    /* 1: the link is up */
int rt_port_counters(uint16_t port, struct rt_counters *c);
int rt_port_xstats(uint16_t port, char (**names)[64], uint64_t **values); /* how many; free both */
int rt_port_set_mac(uint16_t port, const uint8_t mac[6]);
int rt_port_set_mtu(uint16_t port, uint16_t mtu);
int rt_port_set_promiscuous(uint16_t port, int on);
int rt_port_set_allmulticast(uint16_t port, int on);

/* Flags of a slot. */
enum {
	RT_MORE = 1,        /* the packet goes on in the next slot */
	RT_CSUM_VALID = 2,  /* rx: verified */
	RT_CSUM_BLANK = 4,  /* the checksum is to be completed: l3 and l4 say where */
	RT_CSUM_UDP = 8,    /* and it is UDP's; else TCP's */
	RT_IPV6 = 16,
};

/* One buffer as Go sees it. */
struct rt_slot {
	struct rte_mbuf *mbuf; /* NULL: the slot is empty */
	uint8_t *buf;          /* the mbuf's memory, room bytes */
	uint16_t room, off, len;
	uint16_t flags;
	uint16_t l3, l4, payload; /* where headers begin: known with RT_CSUM_BLANK */
	uint16_t gso_size;        /* not 0: a super-frame of TCP */
};

/* rx.c. A half of a queue belongs to one caller at a time. */
struct rt_rxq {
	uint16_t port, queue, slots_n, max_chain;
	struct rte_mempool *pool;
	struct rt_slot *slots;
	struct rte_mbuf **held; /* received, and not yet in a slot: RT_BURST of them */
	uint16_t held_at, held_n;

	/* In: slots whose loan has ended, and slots to be filled, in this order. */
	uint16_t *back, *avail;
	uint16_t back_n, avail_n;

	/* Out: of the last call. */
	uint32_t packets, runts, no_buffer, too_long;
	uint64_t bytes;
};

int rt_rxq_init(struct rt_rxq *q);
void rt_rxq_free(struct rt_rxq *q);
void rt_rxq_drain(struct rt_rxq *q, int running); /* all that is not on loan, and what has arrived */
uint16_t rt_rxq_look(struct rt_rxq *q); /* how many packets wait, after a look at the port if none did */
uint16_t rt_rx(struct rt_rxq *q);    /* how many slots of avail were filled */
void rt_slot_free(struct rt_slot *s);

/* tx.c */
struct rt_txq {
	uint16_t port, queue, slots_n, ip_csum;
	struct rte_mempool *pool;
	struct rt_slot *slots;

	/* In: slots to send, whole packets in their order. */
	uint16_t *order;
	uint16_t order_n;

	/* Out: of the last call. */
	uint32_t packets, rejected, link_down, full;
	uint64_t bytes;
};

int rt_txq_init(struct rt_txq *q);
void rt_txq_free(struct rt_txq *q);
uint16_t rt_tx(struct rt_txq *q);         /* how many slots of order were taken; they have new mbufs, if there were any */
int rt_slot_fill(struct rt_txq *q, uint16_t slot); /* a new mbuf for an empty slot */

/* bare.c: the same burst without slots, for the benchmark: receive, free, and send. */
unsigned rt_bare_rx(uint16_t port, uint16_t queue);
unsigned rt_bare_tx(uint16_t port, uint16_t queue, struct rte_mempool *pool, uint16_t len);

#endif
