/*
 * A pretended world below dom0's network code: memory, time, the store's keys, guests' granted pages, event
 * channels.
 */
#ifndef TESTS_NET_BELOW_H
#define TESTS_NET_BELOW_H

#include <drivers/nic.h>
#include <drivers/xenbus.h>
#include <xen/event_channel.h>

#define NET_PAGE   4096u
#define NET_GRANTS 2048u
#define NET_PORTS  64u

struct net_world {
    uint64_t now;
    unsigned copies;            /* hypercalls of GNTTABOP_copy */
    unsigned pinned;            /* grants that devices may reach */
    unsigned mapped;            /* ring pages */
    unsigned open;              /* event channels */
    unsigned events[NET_PORTS]; /* sent to the remote port of that number */
    unsigned complaints;
    char said[512]; /* the last thing that was printed */
    bool no_memory;
    void (*slept)(void); /* called when the code under test sleeps */
    const struct backend_type *type;
};
extern struct net_world net_world;

void net_world_reset(void);
/* A page of a guest under that reference, made on the first call; any guest's, references are unique here. */
uint8_t *net_page(grant_ref_t ref);
/* From now on nobody can copy from or map it. */
void net_revoke(grant_ref_t ref);
/* A key of the frontend or the back end of the domain; value NULL: gone. */
void net_front_key(domid_t domid, const char *key, const char *value);
void net_back_key(domid_t domid, const char *key, const char *value);
/* NULL when there is none. */
const char *net_back_value(domid_t domid, const char *key);
/* The guest rings that remote port. */
void net_ring(evtchn_port_t remote_port);
/* Runs the work that is due; true when there was any. */
bool net_work(void);

/* A card that keeps what it sends. */
struct net_card {
    struct nic nic;
    struct packet *sent[64];
    unsigned count, room, flushes;
};
void net_card_init(struct net_card *card);
/* The device is done with all. */
void net_card_complete(struct net_card *card);

/* A packet of plain memory with these bytes. */
struct packet *net_packet(const void *bytes, size_t size);
/* Ethernet, IPv4 or IPv6, TCP, and payload bytes that count up, pseudo header filled in; returns the size. */
size_t net_tcp(uint8_t *to, unsigned version, size_t payload);
/* True when IP's and TCP's or UDP's checksums are right. */
bool net_checksums_right(const uint8_t *packet, size_t size);

#endif
