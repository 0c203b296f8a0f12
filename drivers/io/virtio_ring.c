/*
 * Split virtqueues (virtio.h; Virtio 1.2, section 2.7). Handler context.
 *
 * The device can write to all of a ring's shared memory, so nothing is read back from it but the used index,
 * the used elements and the index at which the device wants to be told: each once, and checked against the
 * slots, which are the driver's own.
 */
#include <dom0/below.h>
#include <lib/string.h>
#include "virtio.h"

#define PAGE 4096u

#define DESCRIPTOR_NEXT     1u
#define DESCRIPTOR_WRITE    2u
#define DESCRIPTOR_INDIRECT 4u
#define USED_NO_NOTIFY      1u

static uint16_t load(const volatile uint16_t *from)
{
    return __atomic_load_n(from, __ATOMIC_ACQUIRE);
}

static void store(uint16_t *to, uint16_t value)
{
    __atomic_store_n(to, value, __ATOMIC_RELEASE);
}

/* What the other side writes must not be read before it can see what we wrote. */
static void write_before_read(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static size_t available_offset(uint16_t size)
{
    return size * sizeof(struct ring_descriptor);
}

/* The used ring follows the available ring and the word behind it that says when to interrupt. */
static size_t used_offset(uint16_t size)
{
    size_t end = available_offset(size) + sizeof(struct ring_available) + (size + 1u) * sizeof(uint16_t);
    return (end + 3) & ~3ul;
}

static size_t ring_bytes(uint16_t size)
{
    return used_offset(size) + sizeof(struct ring_used) + size * 8u + sizeof(uint16_t);
}

static size_t pages(size_t bytes)
{
    return (bytes + PAGE - 1) / PAGE;
}

bool ring_create(struct virtio_ring *ring, uint16_t size, uint16_t chain_limit)
{
    size_t table_bytes = (size_t)size * chain_limit * sizeof(struct ring_descriptor);
    *ring = (struct virtio_ring){.size = size, .chain_limit = chain_limit};
    char *shared = dma_alloc(pages(ring_bytes(size)));
    if (chain_limit > 1)
        ring->indirect_tables = dma_alloc(pages(table_bytes));
    ring->slots = mem_alloc(size * sizeof *ring->slots);
    if (!shared || !ring->slots || (chain_limit > 1 && !ring->indirect_tables)) {
        dma_free(shared, pages(ring_bytes(size)));
        dma_free(ring->indirect_tables, pages(table_bytes));
        mem_free(ring->slots);
        return false;
    }
    ring->descriptors = (void *)shared;
    ring->available = (void *)(shared + available_offset(size));
    ring->used = (void *)(shared + used_offset(size));
    return true;
}

void ring_clear(struct virtio_ring *ring, uint64_t features)
{
    memset(ring->descriptors, 0, ring_bytes(ring->size));
    memset(ring->slots, 0, ring->size * sizeof *ring->slots);
    for (uint16_t i = 0; i < ring->size; i++)
        ring->slots[i].next = i + 1;
    ring->indirect = features & VIRTIO_INDIRECT && ring->indirect_tables;
    ring->event_index = features & VIRTIO_EVENT_INDEX;
    ring->broken = false;
    ring->notify = NULL;
    ring->free_first = 0;
    ring->free_count = ring->size;
    ring->chains = 0;
    ring->available_index = ring->used_index = ring->notified_index = 0;
}

/* --- giving --------------------------------------------------------------------------------------------- */

bool ring_begin(struct virtio_ring *ring, unsigned count)
{
    bool indirect = ring->indirect && count > 1;
    if (ring->broken || count > ring->chain_limit || ring->free_count < (indirect ? 1 : count))
        return false;
    ring->head = ring->free_first;
    ring->limit = (uint16_t)count;
    ring->count = 0;
    ring->chain_writable = 0;
    return true;
}

/* The place of the chain's next buffer: in the slot's own table, or in the ring. */
static struct ring_descriptor *next_descriptor(struct virtio_ring *ring, uint16_t *next)
{
    if (ring->indirect && ring->limit > 1) {
        *next = ring->count + 1;
        return &ring->indirect_tables[(size_t)ring->head * ring->chain_limit + ring->count];
    }
    uint16_t here = ring->free_first;
    ring->free_first = *next = ring->slots[here].next;
    ring->free_count--;
    return &ring->descriptors[here];
}

void ring_buffer(struct virtio_ring *ring, uint64_t bus, uint32_t bytes, bool writable)
{
    uint16_t next;
    struct ring_descriptor *descriptor = next_descriptor(ring, &next);
    bool last = ++ring->count == ring->limit;
    *descriptor = (struct ring_descriptor){
        .address = bus,
        .length = bytes,
        .flags = (uint16_t)((writable ? DESCRIPTOR_WRITE : 0) | (last ? 0 : DESCRIPTOR_NEXT)),
        .next = last ? 0 : next};
    if (writable)
        ring->chain_writable += bytes;
}

void ring_end(struct virtio_ring *ring, void *token)
{
    struct ring_slot *slot = &ring->slots[ring->head];
    slot->descriptors = ring->limit;
    if (ring->indirect && ring->limit > 1) {
        struct ring_descriptor *table = &ring->indirect_tables[(size_t)ring->head * ring->chain_limit];
        ring->descriptors[ring->head] = (struct ring_descriptor){.address = dma_address(table),
                                                                 .length = ring->count * sizeof *table,
                                                                 .flags = DESCRIPTOR_INDIRECT};
        slot->descriptors = 1;
        ring->free_first = slot->next;
        ring->free_count--;
    }
    slot->token = token;
    slot->writable = ring->chain_writable;
    ring->chains++;
    ring->available->ring[ring->available_index & (ring->size - 1)] = ring->head;
    store(&ring->available->index, ++ring->available_index);
}

void ring_notify(struct virtio_ring *ring)
{
    uint16_t given = (uint16_t)(ring->available_index - ring->notified_index);
    if (!given || !ring->notify)
        return;
    write_before_read();
    bool wanted;
    if (ring->event_index) {
        /* The word behind the used ring: the device wants to know when the index goes past it. */
        uint16_t event = load((const volatile uint16_t *)&ring->used->ring[ring->size]);
        wanted = (uint16_t)(ring->available_index - event - 1) < given;
    } else {
        wanted = !(load(&ring->used->flags) & USED_NO_NOTIFY);
    }
    ring->notified_index = ring->available_index;
    if (wanted)
        *ring->notify = ring->notify_value;
}

/* --- taking --------------------------------------------------------------------------------------------- */

static void *free_chain(struct virtio_ring *ring, uint16_t head)
{
    struct ring_slot *slot = &ring->slots[head];
    void *token = slot->token;
    uint16_t last = head;
    for (uint16_t i = 1; i < slot->descriptors; i++)
        last = ring->slots[last].next;
    ring->slots[last].next = ring->free_first;
    ring->free_first = head;
    ring->free_count += slot->descriptors;
    ring->chains--;
    slot->token = NULL;
    return token;
}

bool ring_take(struct virtio_ring *ring, struct ring_done *done)
{
    uint16_t there = (uint16_t)(load(&ring->used->index) - ring->used_index);
    if (!there || ring->broken)
        return false;
    uint32_t id = ring->used->ring[ring->used_index & (ring->size - 1)].id;
    uint32_t length = ring->used->ring[ring->used_index & (ring->size - 1)].length;
    if (there > ring->chains || id >= ring->size || !ring->slots[id].token ||
        length > ring->slots[id].writable) {
        ring->broken = true;
        return false;
    }
    ring->used_index++;
    *done =
        (struct ring_done){.token = free_chain(ring, (uint16_t)id), .slot = (uint16_t)id, .bytes = length};
    return true;
}

bool ring_arm(struct virtio_ring *ring)
{
    if (ring->event_index) {
        /* The word behind the available ring. */
        store(&ring->available->ring[ring->size], ring->used_index);
        write_before_read();
    }
    return !ring->broken && load(&ring->used->index) != ring->used_index;
}

void *ring_reclaim(struct virtio_ring *ring)
{
    for (uint16_t i = 0; ring->chains && i < ring->size; i++)
        if (ring->slots[i].token)
            return free_chain(ring, i);
    return NULL;
}
