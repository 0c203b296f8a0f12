/*
 * The page shared with a domain (store.h; struct xenstore_domain_interface of xen/io/xs_wire.h).
 *
 * Both indexes lie in memory that the domain can write at any time: each is read once, and what is between
 * them is believed only if it fits the ring. Bytes in the ring are not believed at all, they are only copied.
 */
#include <lib/string.h>
#include "store.h"

/* Copies between the ring, from index on, and linear memory. */
static void copy_out(char *to, const char *ring, XENSTORE_RING_IDX index, size_t size)
{
    size_t at = MASK_XENSTORE_IDX(index);
    size_t first = size < XENSTORE_RING_SIZE - at ? size : XENSTORE_RING_SIZE - at;
    memcpy(to, ring + at, first);
    memcpy(to + first, ring, size - first);
}

static void copy_in(char *ring, XENSTORE_RING_IDX index, const char *from, size_t size)
{
    size_t at = MASK_XENSTORE_IDX(index);
    size_t first = size < XENSTORE_RING_SIZE - at ? size : XENSTORE_RING_SIZE - at;
    memcpy(ring + at, from, first);
    memcpy(ring, from + first, size - first);
}

long ring_read(struct xenstore_domain_interface *page, void *to, size_t size)
{
    XENSTORE_RING_IDX consumer = __atomic_load_n(&page->req_cons, __ATOMIC_RELAXED);
    XENSTORE_RING_IDX used = __atomic_load_n(&page->req_prod, __ATOMIC_ACQUIRE) - consumer;
    if (used > XENSTORE_RING_SIZE)
        return -XENSTORE_ERROR_RINGIDX;
    if (size > used)
        size = used;
    copy_out(to, page->req, consumer, size);
    __atomic_store_n(&page->req_cons, consumer + (XENSTORE_RING_IDX)size, __ATOMIC_RELEASE);
    return (long)size;
}

long ring_write(struct xenstore_domain_interface *page, const void *from, size_t size)
{
    XENSTORE_RING_IDX producer = __atomic_load_n(&page->rsp_prod, __ATOMIC_RELAXED);
    XENSTORE_RING_IDX used = producer - __atomic_load_n(&page->rsp_cons, __ATOMIC_ACQUIRE);
    if (used > XENSTORE_RING_SIZE)
        return -XENSTORE_ERROR_RINGIDX;
    if (size > XENSTORE_RING_SIZE - used)
        size = XENSTORE_RING_SIZE - used;
    copy_in(page->rsp, producer, from, size);
    __atomic_store_n(&page->rsp_prod, producer + (XENSTORE_RING_IDX)size, __ATOMIC_RELEASE);
    return (long)size;
}
