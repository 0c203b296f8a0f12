/*
 * The rings of a block device (blkback.h; xen/io/ring.h, xen/io/blkif.h): pages that the frontend may change
 * at any time.
 *
 * Each word is read once. What we answered and took is kept in our own memory; of the shared indexes only the
 * frontend's are read. Requests of 32-bit frontends have their 64-bit numbers on multiples of 4: behind the
 * first word all is 4 bytes nearer.
 */
#include <dom0/below.h>
#include <lib/string.h>
#include "blkback.h"

#define PAGE       4096u
#define ENTRY_SIZE sizeof(union vbd_entry)
#define ENTRY_32   (ENTRY_SIZE - 4)

/* The indexes that all rings begin with; the entries follow. */
struct vbd_shared {
    uint32_t requests, request_event;
    uint32_t responses, response_event;
    uint8_t unused[48];
    uint8_t entries[];
};
_Static_assert(sizeof(struct vbd_shared) == offsetof(struct blkif_sring, ring), "xen/io/ring.h");

/* Where 32-bit frontends have it, too; only its end is not padded there. */
struct response {
    uint64_t id;
    uint8_t operation, unused;
    int16_t status;
} __attribute__((packed, aligned(4)));
_Static_assert(offsetof(struct response, status) == offsetof(struct blkif_response, status),
               "xen/io/blkif.h");

static uint32_t load(const uint32_t *shared)
{
    return __atomic_load_n(shared, __ATOMIC_ACQUIRE);
}

static void *entry_at(const struct vbd_ring *ring, uint32_t index)
{
    return ring->shared->entries + (index & (ring->size - 1)) * (ring->bits32 ? ENTRY_32 : ENTRY_SIZE);
}

bool ring_map(struct vbd_ring *ring, const grant_ref_t *refs, size_t pages, bool bits32)
{
    size_t room = (pages * PAGE - sizeof *ring->shared) / (bits32 ? ENTRY_32 : ENTRY_SIZE);
    ring->shared = grant_map_ring(ring->vbd->backend->domid, refs, pages, ring->handles);
    if (!ring->shared)
        return false;
    ring->pages = pages;
    ring->bits32 = bits32;
    for (ring->size = 1; ring->size * 2 <= room; ring->size *= 2)
        ;
    /* A frontend that comes back, from a kernel before it for instance, goes on where the answers end. */
    ring->taken = ring->answered = ring->answered_told = load(&ring->shared->responses);
    ring->broken = false;
    return true;
}

void ring_unmap(struct vbd_ring *ring)
{
    grant_unmap_ring(ring->shared, ring->pages, ring->handles);
    ring->shared = NULL;
}

bool ring_peek(struct vbd_ring *ring, union vbd_entry *entry)
{
    uint32_t there = load(&ring->shared->requests) - ring->taken;
    uint32_t room = ring->size - (ring->taken - ring->answered);
    if (ring->broken || !there)
        return false;
    if (there > room) {
        ring->broken = true;
        backend_complain(ring->vbd->backend,
                         "ring %u claims %u more requests where %u fit: it is served no more", ring->index,
                         there, room);
        return false;
    }
    if (ring->bits32) {
        const volatile uint32_t *from = entry_at(ring, ring->taken);
        uint32_t *to = (uint32_t *)entry;
        to[0] = from[0];
        for (unsigned i = 1; i < ENTRY_32 / sizeof *from; i++)
            to[i + 1] = from[i];
    } else {
        const volatile uint64_t *from = entry_at(ring, ring->taken);
        for (unsigned i = 0; i < ENTRY_SIZE / sizeof *from; i++)
            entry->words[i] = from[i];
    }
    return true;
}

void ring_next(struct vbd_ring *ring)
{
    ring->taken++;
}

bool ring_sleep(struct vbd_ring *ring)
{
    __atomic_store_n(&ring->shared->request_event, ring->taken + 1, __ATOMIC_SEQ_CST);
    return load(&ring->shared->requests) != ring->taken;
}

void ring_answer(struct vbd_ring *ring, uint64_t id, uint8_t operation, int16_t status)
{
    volatile struct response *response = entry_at(ring, ring->answered++);
    response->id = id;
    response->operation = operation;
    response->status = status;
}

bool ring_tell(struct vbd_ring *ring)
{
    uint32_t before = ring->answered_told, now = ring->answered;
    if (before == now)
        return false;
    ring->answered_told = now;
    __atomic_store_n(&ring->shared->responses, now, __ATOMIC_SEQ_CST);
    return now - load(&ring->shared->response_event) < now - before;
}
