/*
 * A pretended network frontend (xen/io/netif.h) for tests: both rings of each queue, pages of its own, and
 * what it was answered.
 *
 * Domain d has the grant references from d * 256 on: queue q's rings are the first, d * 256 + 2 * q and the
 * next, its event channels the remote ports d * 8 + 2 * q and the next.
 */
#ifndef TESTS_NET_FRONT_H
#define TESTS_NET_FRONT_H

#include "../../drivers/pv/netback.h"
#include "net_below.h"

struct net_front {
    struct backend backend;
    unsigned queues;
    netif_tx_front_ring_t tx[NETBACK_QUEUES];
    netif_rx_front_ring_t rx[NETBACK_QUEUES];
};

#define FRONT_REF(front, n) ((front)->backend.domid * 256u + 16 + (n)) /* a page for data */
#define FRONT_RX_PAGES      100 /* from here on those of the receive ring */

/* Writes what Linux writes. */
void net_front_keys(struct net_front *front, domid_t domid, unsigned queues);
/* create() and connect() of the back end; asserts that they work. */
void net_front_connect(struct net_front *front);
void net_front_disconnect(struct net_front *front);

/* Puts a request on the ring; net_front_send() shows them to the back end. */
void net_front_request(struct net_front *front, unsigned page, uint16_t offset, uint16_t size,
                       uint16_t flags);
void net_front_extra_gso(struct net_front *front, uint16_t size, uint8_t type, uint8_t flags);
void net_front_send(struct net_front *front);
/* Takes the next answer off the ring; -100 when there is none. */
int net_front_answer(struct net_front *front);

/* Posts count receive buffers on the queue. */
void net_front_post(struct net_front *front, unsigned queue, unsigned count);
/*
 * The next received packet, its size; 0: none. flags: of its first response; gso_size: 0 if there was none.
 * -1: an error.
 */
int net_front_receive(struct net_front *front, unsigned queue, uint8_t *to, uint16_t *flags,
                      uint16_t *gso_size);

#endif
