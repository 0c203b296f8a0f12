/*
 * A network card as a guest's frontend sees it (xen/io/netif.h): for test guests, so rings and grants lie
 * open. Frames are copied into and out of pages that stay granted.
 */
#ifndef DRIVERS_NETFRONT_H
#define DRIVERS_NETFRONT_H

#include <drivers/front.h>

#define xen_mb()  __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define xen_rmb() __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define xen_wmb() __atomic_thread_fence(__ATOMIC_RELEASE)
#include <xen/io/netif.h>

#define NET_QUEUES    4u
#define NET_RING      256u
#define NET_TX_PAGES  64u
#define NET_FRAME_MAX (65535u + 14)

/* What to ask for; the back end may offer less. Zeroes: one queue, one channel, every offload. */
struct net_options {
    unsigned queues;
    bool split_events, no_checksum, no_gso, no_sg;
};

struct net_frame {
    uint32_t length;
    bool checksum_blank; /* the sum is not filled in: only the pseudo header's is there */
    bool checksum_good;  /* received: it was checked or never was on a wire */
    uint8_t gso_type;    /* XEN_NETIF_GSO_TYPE_... */
    uint16_t gso_size;
    uint8_t data[NET_FRAME_MAX];
};

struct net_queue {
    netif_tx_front_ring_t tx;
    netif_rx_front_ring_t rx;
    grant_ref_t tx_ring_ref, rx_ring_ref;
    evtchn_port_t tx_port, rx_port; /* one and the same, unless split */
    unsigned tx_free_count;
    uint16_t tx_free[NET_TX_PAGES];
    bool tx_busy[NET_TX_PAGES];
    uint8_t *tx_page[NET_TX_PAGES], *rx_page[NET_RING];
    grant_ref_t tx_ref[NET_TX_PAGES], rx_ref[NET_RING];
};

struct net {
    struct front_device device;
    unsigned devid, queue_count;
    uint8_t mac[6];
    bool split_events, checksum, gso, sg; /* what the back end takes from us */
    uint64_t tx_errors, rx_errors, strange;
    struct net_queue queue[NET_QUEUES];
};

/* Negotiates and connects. False: the back end does not come along; its words are on the console. */
bool net_open(struct net *net, unsigned devid, const struct net_options *options);
/* False: the back end did not follow, or kept a page mapped. */
bool net_close(struct net *net);
/* Copies and sends. False: no room now, or the back end does not take such a frame. */
bool net_send(struct net *net, unsigned queue, const struct net_frame *frame);
/* The next frame of any queue; false: none is there. */
bool net_receive(struct net *net, struct net_frame *frame);
/* Waits for a frame until the deadline. */
bool net_wait(struct net *net, struct net_frame *frame, uint64_t deadline);
/* Takes back the pages of what was sent. */
void net_reap(struct net *net);

#endif
