/*
 * A pretended virtio device under the drivers' transport functions (drivers/io/virtio.h): tests see what a
 * driver gave it, and answer as they like, also what no honest device would.
 *
 * Memory, time, packets and work are those of net_below.h.
 */
#ifndef TESTS_VIRTIO_WORLD_H
#define TESTS_VIRTIO_WORLD_H

#include <drivers/disk.h>
#include <drivers/nic.h>
#include "../../drivers/io/virtio.h"

#define VIRTIO_QUEUES 5
#define CHAIN_MAX     300

struct virtio_world {
    uint64_t offered;
    uint8_t config[64];
    uint16_t queue_size;
    bool stuck;   /* does not come out of its reset */
    bool broken;  /* says that it needs a reset */
    bool refuses; /* takes no features */
    unsigned starts, resets, closes, doorbells;
    struct virtio *driver; /* NULL: none opened it */
    struct virtio_ring *ring[VIRTIO_QUEUES];
    uint16_t seen[VIRTIO_QUEUES], used[VIRTIO_QUEUES];

    struct disk *disk; /* what the driver added */
    struct nic *nic;
    unsigned removed, resized, received, received_bytes, flushes;
    struct packet *last_received; /* with a reference */
};
extern struct virtio_world virtio_world;

/* A new device; the driver's earlier one is forgotten. */
void virtio_world_reset(uint64_t offered);

struct chain_buffer {
    uint8_t *data;
    uint32_t bytes;
    bool writable;
};
struct chain {
    uint16_t head;
    unsigned count;
    struct chain_buffer buffer[CHAIN_MAX];
};
/* The next chain that the driver gave to the queue; false: none. Asserts that it is well formed. */
bool virtio_take(unsigned queue, struct chain *chain);
/* The device is done with it, or says so. */
void virtio_use(unsigned queue, uint32_t head, uint32_t bytes);
/* Its interrupts; the driver's handlers run. */
void virtio_interrupt(void);
void virtio_config_interrupt(void);
/* Lets so much time pass; what is due runs. */
void virtio_pass(uint64_t ns);

#endif
