/*
 * Packets, network cards and bridges of dom0.
 *
 * Drivers hand what they received to nic_receive(); a bridge hands what is to be sent to a port's output().
 * Everything runs in handler context (dom0/thread.h): nothing here switches threads, nothing needs a lock.
 *
 * Work comes in bursts: whoever puts packets in (a card's receive interrupt, a back end's pass over a ring)
 * calls bridge_flush() when the burst is over. Ports may keep what they got until then, to make one hypercall
 * or one doorbell of it.
 */
#ifndef DRIVERS_NIC_H
#define DRIVERS_NIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/grant_table.h>

#define MAC_SIZE        6
#define ETHERNET_HEADER 14
#define VLAN_TAG        4
#define PACKET_FRAGMENTS                                                                                     \
    22                      /* 64 KiB in receive buffers of PACKET_INLINE bytes, or in pages with the head   \
                             */
#define PACKET_MAX    65549 /* GSO: 64 KiB and an Ethernet header, less what no IP packet has */
#define PACKET_HEAD   192   /* bytes of headers that the processor can read, if the packet has so many */
#define PACKET_INLINE 3072  /* packet_alloc() up to here is cheap */

/*
 * A piece of a packet: memory of dom0's (data and bus), or a guest's page that is known by its grant only
 * (ref) until packet_pin() makes it reachable for devices (bus). A granted piece does not cross a page.
 */
struct packet_fragment {
    void *data;   /* NULL: not for the processor */
    uint64_t bus; /* 0: not pinned yet */
    uint32_t bytes;
    domid_t domid; /* of the grant, where data is NULL */
    grant_ref_t ref;
    uint16_t ref_offset;
    grant_handle_t pinned;
};

enum packet_gso { GSO_NONE, GSO_TCPV4, GSO_TCPV6 };

/* Once it has been handed on, nobody writes to a packet or its data: others may hold it, too. */
struct packet {
    struct packet *next; /* for whoever made it, or got it as a list */
    unsigned users;
    uint32_t length;
    uint16_t checksum_start, checksum_offset; /* where to sum from, and where from there the sum goes */
    /* The sum is not filled in: only the pseudo header's is there, as Linux and virtio have it. */
    bool checksum_blank;
    /* Somebody trustworthy checked it, or it never was on a wire. */
    bool checksum_good;
    enum packet_gso gso;  /* then checksum_blank is set */
    uint16_t gso_size;    /* bytes of payload in each piece */
    uint16_t header_size; /* with gso: Ethernet, IP and TCP headers; at most PACKET_HEAD */
    uint32_t allocated;   /* private to packet.c */
    unsigned fragment_count;
    /* The first has data, PACKET_HEAD bytes of it if the packet has so many. */
    struct packet_fragment fragment[PACKET_FRAGMENTS];
    /* The last user is done; the memory goes after it. NULL: nothing to do. */
    void (*release)(struct packet *packet);
    void *owner;
};

static inline struct packet *packet_get(struct packet *packet)
{
    packet->users++;
    return packet;
}
/* The last one unpins it, calls release() and frees it. */
void packet_put(struct packet *packet);
/*
 * Every packet comes from here: one fragment of size (up to 64 KiB) bytes of dom0's own contiguous memory,
 * not cleared; length is size, users is 1. A receiver that gets less sets length and fragment[0].bytes. NULL:
 * no memory.
 */
struct packet *packet_alloc(size_t size);
/*
 * Gives every fragment a bus address (GNTMAP_device_map for granted ones). False: a grant is bad; nothing
 * stays pinned. Undone by the last put.
 */
bool packet_pin(struct packet *packet);
/*
 * Copies bytes [offset, offset + size) out; granted fragments are fetched by GNTTABOP_copy. False: a grant is
 * bad, or there are not so many.
 */
bool packet_read(struct packet *packet, uint32_t offset, void *to, size_t size);
/*
 * For a sender that says "blank" or "gso" but not where (netif): finds checksum_start, checksum_offset and
 * header_size in the head, and fills in the pseudo header's sum. False: the headers are no TCP or UDP ones,
 * or lie.
 */
bool packet_find_checksum(struct packet *packet);
/* A number that is the same for all packets of a flow. */
uint32_t packet_flow(const struct packet *packet);
/*
 * Packets of plain memory with the checksum filled in and, where gso is set, a NULL-terminated list of pieces
 * that fit mtu: what a card without offloads needs. NULL: no memory, a bad grant, or lying headers. Does not
 * drop the original.
 */
struct packet *packet_flatten(struct packet *packet, uint32_t mtu);

/* --- bridges -------------------------------------------------------------------------------------------- */

struct bridge;
struct bridge_port {
    struct bridge_port *next;
    struct bridge *bridge;
    char name[24]; /* "eth0", "vif3.0" */
    /*
     * Sends the packet; takes a reference of its own if it keeps it. Drops it when there is no room, and
     * counts that.
     */
    void (*output)(struct bridge_port *port, struct packet *packet);
    /* The burst is over. May be NULL. */
    void (*flush)(struct bridge_port *port);
    uint64_t received, received_bytes, sent, sent_bytes,
        dropped; /* as seen from the bridge: received came in at the port */
    void *owner;
    bool to_flush; /* private to bridge.c */
};

struct bridge {
    struct bridge *next;
    char name[24]; /* "xenbr0", and what people made */
    struct bridge_port *ports;
    struct nic *uplink; /* NULL: internal */
    void *table;        /* of learned addresses */
};

/* The index-th bridge; NULL past the last. */
struct bridge *bridge_at(size_t index);
struct bridge *bridge_find(const char *name);
/* uplink NULL: an internal one. NULL: exists, no memory, or the card is another bridge's. */
struct bridge *bridge_create(const char *name, struct nic *uplink);
/* Returns an errno: EBUSY while a vif is on it. */
int bridge_destroy(struct bridge *bridge);
void bridge_attach(struct bridge *bridge, struct bridge_port *port);
/* No output() or flush() comes after it. */
void bridge_detach(struct bridge_port *port);
/* Something came in at the port: learn, and send on. The caller keeps its reference. */
void bridge_input(struct bridge_port *port, struct packet *packet);
/* The burst is over: flush() of every port that got something. */
void bridge_flush(void);

/* --- cards ---------------------------------------------------------------------------------------------- */

struct nic {
    struct nic *next;
    char name[24];      /* "eth0", given by nic_add() */
    const char *driver; /* "virtio-net", "e1000", "e1000e" */
    uint8_t mac[MAC_SIZE];
    uint16_t mtu; /* without the Ethernet header; 1500 */
    bool link;
    bool checksum_offload, gso_v4, gso_v6; /* what transmit() takes */
    unsigned max_fragments;                /* what transmit() takes, 1 or more */
    /*
     * Queues it for sending, takes its own reference and drops it when the device is done. The packet is
     * pinned and fits. False: no room.
     */
    bool (*transmit)(struct nic *nic, struct packet *packet);
    /* No more comes for now: tells the device of all that is queued. */
    void (*flush)(struct nic *nic);
    struct bridge_port port; /* private to nic.c, for people to look at */
    void *driver_data;
};

/* --- for drivers */
/*
 * Names it, and makes the bridge "xenbr0" over the first card, "xenbr1" over the second, and so on. False: no
 * memory.
 */
bool nic_add(struct nic *nic);
void nic_link_changed(struct nic *nic, bool link);
/* The caller's reference passes. After the last one of a burst the driver calls bridge_flush(). */
void nic_receive(struct nic *nic, struct packet *packet);
/* The index-th card; NULL past the last. */
struct nic *nic_at(size_t index);

#endif
