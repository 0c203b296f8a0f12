/*
 * Histories and PV console rings (history.h). The ring's indexes belong to the domain as much as to us: each
 * is read once and believed only if it fits.
 */
#include <lib/string.h>
#include "history.h"

void history_add(struct history *history, const char *text, size_t size)
{
    for (size_t done = 0; done < size;) {
        size_t at = (size_t)(history->total % HISTORY_SIZE);
        size_t part = size - done < HISTORY_SIZE - at ? size - done : HISTORY_SIZE - at;
        memcpy(history->text + at, text + done, part);
        history->total += part;
        done += part;
    }
}

size_t history_read(const struct history *history, uint64_t *at, char *text, size_t size)
{
    if (history->total - *at > HISTORY_SIZE)
        *at = history->total - HISTORY_SIZE;
    size_t done = 0;
    while (done < size && *at < history->total)
        text[done++] = history->text[(*at)++ % HISTORY_SIZE];
    return done;
}

long console_ring_drain(struct xencons_interface *ring, struct history *history, size_t max)
{
    XENCONS_RING_IDX consumer = __atomic_load_n(&ring->out_cons, __ATOMIC_RELAXED);
    XENCONS_RING_IDX used = __atomic_load_n(&ring->out_prod, __ATOMIC_ACQUIRE) - consumer;
    char text[sizeof ring->out];
    if (used > sizeof ring->out)
        return -1;
    size_t size = used < max ? used : max;
    for (size_t i = 0; i < size; i++)
        text[i] = ring->out[MASK_XENCONS_IDX(consumer + i, ring->out)];
    history_add(history, text, size);
    __atomic_store_n(&ring->out_cons, consumer + (XENCONS_RING_IDX)size, __ATOMIC_RELEASE);
    return (long)size;
}

long console_ring_input(struct xencons_interface *ring, const char *text, size_t size)
{
    XENCONS_RING_IDX producer = __atomic_load_n(&ring->in_prod, __ATOMIC_RELAXED);
    XENCONS_RING_IDX used = producer - __atomic_load_n(&ring->in_cons, __ATOMIC_ACQUIRE);
    if (used > sizeof ring->in)
        return -1;
    size_t room = sizeof ring->in - used;
    if (size > room)
        size = room;
    for (size_t i = 0; i < size; i++)
        ring->in[MASK_XENCONS_IDX(producer + i, ring->in)] = text[i];
    __atomic_store_n(&ring->in_prod, producer + (XENCONS_RING_IDX)size, __ATOMIC_RELEASE);
    return (long)size;
}
