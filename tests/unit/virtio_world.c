/* See virtio_world.h. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <dom0/below.h>
#include <dom0/hardware.h>
#include <dom0/thread.h>
#include "net_below.h"
#include "virtio_world.h"

#define DESCRIPTOR_NEXT     1u
#define DESCRIPTOR_WRITE    2u
#define DESCRIPTOR_INDIRECT 4u
#define MILLISECOND         1000000ull

struct virtio_world virtio_world;
static uint16_t doorbell;
/* Devices are for ever; what knows them all keeps their memory from counting as lost. */
static struct virtio *opened[64];
static unsigned opened_count;
static bool resetting;

void virtio_world_reset(uint64_t offered)
{
    if (virtio_world.last_received)
        packet_put(virtio_world.last_received);
    net_world_reset();
    virtio_world = (struct virtio_world){.offered = offered | VIRTIO_VERSION_1, .queue_size = 64};
    resetting = false;
}

/* --- the transport -------------------------------------------------------------------------------------- */

bool virtio_is(const struct pci_function *f, unsigned id)
{
    return f->device_id == id;
}

bool virtio_open(struct virtio *v, struct pci_function *f, const struct virtio_driver *driver)
{
    *v = (struct virtio){.driver = driver, .pci = f};
    virtio_world.driver = v;
    assert(opened_count < 64);
    opened[opened_count++] = v;
    return true;
}

uint64_t virtio_offers(struct virtio *v)
{
    (void)v;
    return virtio_world.offered;
}

bool virtio_negotiate(struct virtio *v, uint64_t wanted)
{
    resetting = false;
    virtio_world.broken = false;
    v->features = virtio_world.offered & (wanted | VIRTIO_VERSION_1 | VIRTIO_INDIRECT | VIRTIO_EVENT_INDEX);
    return !virtio_world.refuses;
}

uint16_t virtio_queue_size(struct virtio *v, uint16_t queue)
{
    (void)v;
    return queue < VIRTIO_QUEUES ? virtio_world.queue_size : 0;
}

bool virtio_queue_start(struct virtio *v, uint16_t queue, struct virtio_ring *ring)
{
    (void)v;
    assert(queue < VIRTIO_QUEUES && !virtio_world.ring[queue]);
    assert(!ring->available->index && !ring->used->index);
    virtio_world.ring[queue] = ring;
    virtio_world.seen[queue] = virtio_world.used[queue] = 0;
    ring->notify = &doorbell;
    return true;
}

void virtio_start(struct virtio *v)
{
    (void)v;
    virtio_world.starts++;
}

void virtio_config(struct virtio *v, uint32_t offset, void *to, size_t size)
{
    (void)v;
    assert(offset + size <= sizeof virtio_world.config);
    memcpy(to, virtio_world.config + offset, size);
}

bool virtio_is_broken(struct virtio *v)
{
    (void)v;
    return virtio_world.broken;
}

void virtio_reset_begin(struct virtio *v)
{
    (void)v;
    virtio_world.resets++;
    resetting = true;
    if (!virtio_world.stuck)
        memset(virtio_world.ring, 0, sizeof virtio_world.ring);
}

bool virtio_reset_is_done(struct virtio *v)
{
    (void)v;
    return resetting && !virtio_world.stuck;
}

void virtio_close(struct virtio *v)
{
    (void)v;
    virtio_world.closes++;
    memset(virtio_world.ring, 0, sizeof virtio_world.ring);
}

const char *pci_name(const struct pci_function *f, char buf[PCI_NAME])
{
    (void)f;
    return strcpy(buf, "00:03.0");
}

uint16_t pci_read16(const struct pci_function *f, uint16_t offset)
{
    (void)f;
    (void)offset;
    return 0x1af4;
}

/* --- the device's side ---------------------------------------------------------------------------------- */

static void add_buffer(struct chain *chain, const struct ring_descriptor *d)
{
    bool writable = d->flags & DESCRIPTOR_WRITE;
    assert(chain->count < CHAIN_MAX);
    assert(writable || !chain->count || !chain->buffer[chain->count - 1].writable);
    chain->buffer[chain->count++] = (struct chain_buffer){(uint8_t *)d->address, d->length, writable};
}

static void walk(struct chain *chain, const struct ring_descriptor *table, unsigned size, unsigned at)
{
    for (unsigned steps = 0;; at = table[at].next, steps++) {
        assert(at < size && steps < size);
        const struct ring_descriptor *d = &table[at];
        if (d->flags & DESCRIPTOR_INDIRECT) {
            assert(!(d->flags & DESCRIPTOR_NEXT) && d->length && d->length % sizeof *d == 0);
            walk(chain, (const struct ring_descriptor *)d->address, d->length / sizeof *d, 0);
            return;
        }
        add_buffer(chain, d);
        if (!(d->flags & DESCRIPTOR_NEXT))
            return;
    }
}

bool virtio_take(unsigned queue, struct chain *chain)
{
    const struct virtio_ring *ring = virtio_world.ring[queue];
    if (!ring || ring->available->index == virtio_world.seen[queue])
        return false;
    chain->head = ring->available->ring[virtio_world.seen[queue]++ % ring->size];
    chain->count = 0;
    walk(chain, ring->descriptors, ring->size, chain->head);
    /* Wants to be told about the next one. */
    *(uint16_t *)&ring->used->ring[ring->size] = virtio_world.seen[queue];
    return true;
}

void virtio_use(unsigned queue, uint32_t head, uint32_t bytes)
{
    struct virtio_ring *ring = virtio_world.ring[queue];
    if (!ring)
        return;
    ring->used->ring[virtio_world.used[queue] % ring->size].id = head;
    ring->used->ring[virtio_world.used[queue] % ring->size].length = bytes;
    ring->used->index = ++virtio_world.used[queue];
}

void virtio_interrupt(void)
{
    if (virtio_world.driver->state == VIRTIO_READY)
        virtio_world.driver->driver->queues(virtio_world.driver);
}

void virtio_config_interrupt(void)
{
    if (virtio_world.driver->state == VIRTIO_READY)
        virtio_world.driver->driver->config(virtio_world.driver);
}

void virtio_pass(uint64_t ns)
{
    for (uint64_t end = net_world.now + ns; net_world.now < end; net_world.now += MILLISECOND)
        while (net_work())
            ;
}

/* --- who uses the drivers ------------------------------------------------------------------------------- */

bool disk_add(struct disk *disk)
{
    virtio_world.disk = disk;
    return true;
}

void disk_remove(struct disk *disk)
{
    disk->removed = true;
    virtio_world.removed++;
}

void disk_resized(struct disk *disk, uint64_t sectors)
{
    disk->sectors = sectors;
    virtio_world.resized++;
}

bool nic_add(struct nic *nic)
{
    virtio_world.nic = nic;
    return true;
}

void nic_link_changed(struct nic *nic, bool link)
{
    nic->link = link;
}

void nic_receive(struct nic *nic, struct packet *packet)
{
    (void)nic;
    virtio_world.received++;
    virtio_world.received_bytes += packet->length;
    if (virtio_world.last_received)
        packet_put(virtio_world.last_received);
    virtio_world.last_received = packet;
}

void bridge_flush(void)
{
    virtio_world.flushes++;
}

void signal_set(struct signal *signal)
{
    signal->set = true;
}

/* The device answers whoever waits for a serial number. */
bool signal_wait(struct signal *signal, uint64_t deadline)
{
    struct chain chain;
    if (!signal->set && virtio_take(0, &chain)) {
        memcpy(chain.buffer[1].data, "SERIAL", 7);
        *chain.buffer[chain.count - 1].data = 0;
        virtio_use(0, chain.head, chain.buffer[1].bytes + 1);
        virtio_interrupt();
    }
    if (!signal->set)
        net_world.now = deadline;
    bool was_set = signal->set;
    signal->set = false;
    return was_set;
}
