/*
 * The network back end's own (xen/io/netif.h): netback.c is its life, netback_tx.c what guests send,
 * netback_rx.c what they get.
 *
 * "Transmit" and "receive" are the guest's, as in the protocol. Rings and their indexes are the guest's
 * memory: each value is read once.
 */
#ifndef DRIVERS_NETBACK_H
#define DRIVERS_NETBACK_H

#include <drivers/grant.h>
#include <drivers/nic.h>
#include <drivers/work.h>
#include <drivers/xenbus.h>
#include <xen/event_channel.h>

#define xen_mb()  __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define xen_rmb() __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define xen_wmb() __atomic_thread_fence(__ATOMIC_RELEASE)
#include <xen/io/netif.h>

#define NETBACK_PAGE          4096u
#define NETBACK_QUEUES        4u
#define NETBACK_RING          256u /* entries in a page, of both rings */
#define NETBACK_SLOTS         XEN_NETIF_NR_SLOTS_MIN
#define NETBACK_MULTICASTS    64u
#define NETBACK_BACKLOG       128u /* packets that wait for one queue's receive buffers */
#define NETBACK_BACKLOG_BYTES (512u << 10)

/* A packet's requests, from when they are taken until they are answered. */
struct netback_request {
    struct netback_queue *queue;
    struct netback_request *next; /* of the free ones */
    uint16_t ids[NETBACK_SLOTS];
    uint8_t slots, extras;
    int16_t status;
};

struct netback_queue {
    struct netback *vif;
    netif_tx_back_ring_t tx;
    netif_rx_back_ring_t rx;
    grant_handle_t tx_handle, rx_handle;
    evtchn_port_t tx_port, rx_port; /* the same, unless the channels are split; 0: none */
    bool broken;                    /* it broke the ring's rules and is not looked at any more */

    struct work tx_more; /* more than a pass' share is there, or credit is to come */
    struct netback_request *requests, *free_request;
    unsigned held; /* requests that wait for somebody else to be done with their pages */

    struct packet *backlog[NETBACK_BACKLOG]; /* from backlog_head on */
    unsigned backlog_head, backlog_count;
    uint32_t backlog_bytes;
    struct work rx_stall;
    bool stalled; /* the guest offers no buffers: nothing is kept for it */
};

struct netback {
    struct netback *next;
    struct backend *backend;
    struct bridge_port port;
    bool connected;
    /* what the frontend takes */
    bool sg, gso_v4, gso_v6, checksum_v4, checksum_v6, rx_notify, multicast_control;
    uint8_t multicast[NETBACK_MULTICASTS][MAC_SIZE];
    unsigned multicast_count;
    /* transmit: rate_bytes each rate_ns; 0: as fast as it can */
    uint64_t rate_bytes, rate_ns, window_end;
    int64_t credit;
    unsigned queue_count;
    struct netback_queue *queue[NETBACK_QUEUES];
};

/* Every back end there is. */
extern struct netback *netback_all;
/* The rest of the ring is not looked at; says why, once. */
void netback_break(struct netback_queue *queue, const char *why);

/* --- netback_tx.c */
bool netback_tx_init(struct netback_queue *queue);
/* Takes what is on the ring. More is left to a later turn. */
void netback_tx_pass(struct netback_queue *queue);
/* True for packets that hold requests of the back end. */
bool netback_tx_is_from(const struct packet *packet, const struct netback *vif);

/* --- netback_rx.c */
void netback_rx_init(struct netback_queue *queue);
/* Hands over what waits, as far as there are buffers. */
void netback_rx_pass(struct netback_queue *queue);
/* Drops what waits: all of it, or (from not NULL) what holds requests of that back end. */
void netback_rx_drop(struct netback_queue *queue, const struct netback *from);
/* The port's. */
void netback_output(struct bridge_port *port, struct packet *packet);
void netback_flush(struct bridge_port *port);

#endif
