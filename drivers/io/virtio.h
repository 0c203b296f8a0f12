/*
 * Virtio devices over PCI (Virtual I/O Device Version 1.2; modern interface only): virtio_pci.c is the
 * transport, virtio_watch.c finds devices that are stuck and stops them, virtio_ring.c is the queues.
 *
 * The device is not trusted: a ring keeps its own account of what is under way, and what the device says is
 * checked against that.
 */
#ifndef DRIVERS_IO_VIRTIO_H
#define DRIVERS_IO_VIRTIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <drivers/pci.h>
#include <drivers/work.h>

#define VIRTIO_ID_NET   1
#define VIRTIO_ID_BLOCK 2

/* Features of every device (chapter 6). */
#define VIRTIO_INDIRECT        (1ull << 28)
#define VIRTIO_EVENT_INDEX     (1ull << 29)
#define VIRTIO_VERSION_1       (1ull << 32)
#define VIRTIO_ACCESS_PLATFORM (1ull << 33)
#define VIRTIO_ORDER_PLATFORM  (1ull << 36)

/* --- rings: split virtqueues (2.7) ---------------------------------------------------------------------- */

struct ring_descriptor {
    uint64_t address;
    uint32_t length;
    uint16_t flags, next;
};

/* What is known of the chain whose first descriptor has the slot's number. */
struct ring_slot {
    void *token;          /* NULL: not under way */
    uint32_t writable;    /* bytes that the device may write */
    uint16_t descriptors; /* of the ring, in the chain */
    uint16_t next;        /* descriptor that follows in a chain, or in the list of free ones */
};

struct ring_available {
    uint16_t flags, index, ring[];
};

struct ring_used {
    uint16_t flags, index;
    struct {
        uint32_t id, length;
    } ring[];
};

struct virtio_ring {
    uint16_t size, chain_limit;
    bool indirect, event_index;
    bool broken; /* the device used what it was not given: it must be reset */
    struct ring_descriptor *descriptors;
    struct ring_available *available;
    volatile struct ring_used *used;
    struct ring_slot *slots;
    struct ring_descriptor *indirect_tables; /* chain_limit descriptors for each slot */
    volatile uint16_t *notify;               /* the doorbell; NULL until the queue is started */
    uint16_t index, notify_value;

    uint16_t free_first, free_count, chains; /* chains: how many are under way */
    uint16_t available_index, used_index;    /* next to be given, next to be taken */
    uint16_t notified_index; /* available_index when the device was last asked whether to be told */

    /* The chain that is being made. */
    uint16_t head, count, limit;
    uint32_t chain_writable;
};

struct ring_done {
    void *token;
    uint16_t slot;
    uint32_t bytes; /* that the device wrote, not more than it could */
};

/*
 * Memory for a ring of size (a power of two) with chains of at most chain_limit buffers. False: no memory.
 * Never freed.
 */
bool ring_create(struct virtio_ring *ring, uint16_t size, uint16_t chain_limit);
/* Makes it empty. No device uses it at that time. */
void ring_clear(struct virtio_ring *ring, uint64_t features);
/* A chain of count buffers is begun, whose slot is then ring->head. False: no room. */
bool ring_begin(struct virtio_ring *ring, unsigned count);
/* The next buffer of it; those that the device writes come behind those that it reads. */
void ring_buffer(struct virtio_ring *ring, uint64_t bus, uint32_t bytes, bool writable);
/* Gives it to the device. token is not NULL. */
void ring_end(struct virtio_ring *ring, void *token);
/* Tells the device about what it was given, if it wants to know. */
void ring_notify(struct virtio_ring *ring);
/* A chain that the device is done with; false: none, or the ring is broken. */
bool ring_take(struct virtio_ring *ring, struct ring_done *done);
/* Asks for an interrupt when the next one is done. True: there is one already. */
bool ring_arm(struct virtio_ring *ring);
/* For a device that was reset: takes any chain that was under way. NULL: none. */
void *ring_reclaim(struct virtio_ring *ring);

/* --- devices -------------------------------------------------------------------------------------------- */

#define VIRTIO_RESET_TIME 2000000000ull /* nanoseconds that a reset may take */

enum virtio_state { VIRTIO_READY, VIRTIO_STOPPING, VIRTIO_GONE };

struct virtio;
struct virtio_driver {
    /* Chains are done, perhaps. */
    void (*queues)(struct virtio *v);
    /* The device's own configuration has changed, perhaps. */
    void (*config)(struct virtio *v);
    /* Why the device should be reset, NULL: it is well. *busy: look again in a second. */
    const char *(*check)(struct virtio *v, bool *busy);
    /*
     * The device was reset and does no DMA. usable: it can be started again, which this does, and returns
     * whether it worked.
     */
    bool (*stopped)(struct virtio *v, bool usable);
};

struct virtio {
    const struct virtio_driver *driver;
    const char *name; /* of the disk or card, for messages */
    struct pci_function *pci;
    uint64_t features; /* negotiated */
    enum virtio_state state;

    /* The transport's own. */
    volatile char *common, *isr, *config, *notify;
    uint64_t config_size, notify_size;
    uint32_t notify_multiplier;
    unsigned interrupts;
    struct virtio_interrupt {
        struct virtio *device;
        bool config;
    } interrupt[2];
    struct work watch, again;
    uint64_t stop_deadline;
};

/* True when the function is such a device; a transitional one is as good. */
bool virtio_is(const struct pci_function *f, unsigned id);
/* Finds its registers, resets it, and prepares interrupts. On false it said why. May switch. */
bool virtio_open(struct virtio *v, struct pci_function *f, const struct virtio_driver *driver);
/* The features that a device that was reset offers. */
uint64_t virtio_offers(struct virtio *v);
/*
 * For a device that was reset: takes those of the wanted features that it offers. False: it does not answer,
 * or is not modern.
 */
bool virtio_negotiate(struct virtio *v, uint64_t wanted);
/* The largest size of the queue, 0: there is no such queue. */
uint16_t virtio_queue_size(struct virtio *v, uint16_t queue);
/* Starts a queue over a ring that was cleared. */
bool virtio_queue_start(struct virtio *v, uint16_t queue, struct virtio_ring *ring);
/* The device may work from now on. */
void virtio_start(struct virtio *v);
/* Copies from the device's own configuration; what is beyond its end reads as zero. */
void virtio_config(struct virtio *v, uint32_t offset, void *to, size_t size);
/* The device is not used: no interrupt, no DMA of its comes after it. */
void virtio_close(struct virtio *v);

/* The device said that it needs a reset, or it is gone. */
bool virtio_is_broken(struct virtio *v);
void virtio_reset_begin(struct virtio *v);
bool virtio_reset_is_done(struct virtio *v);

/* Something is under way: check() is called within a second or so. */
void virtio_watch(struct virtio *v);
/* queues() is called in the next round of work. */
void virtio_again(struct virtio *v);
/* Resets the device, and then calls stopped(). */
void virtio_fail(struct virtio *v, const char *why);

#endif
