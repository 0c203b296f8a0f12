/*
 * Packets: memory, references, pinning, and reading across their fragments (drivers/nic.h).
 *
 * A packet of up to PACKET_INLINE bytes is one page, structure and bytes together; pages that come back are
 * kept for the next ones. There are at most PACKETS_MAX packets: receivers that take nothing cannot eat
 * dom0's memory through their backlogs.
 */
#include <dom0/hardware.h>
#include <drivers/grant.h>
#include <drivers/nic.h>
#include <lib/string.h>

#define PAGE         4096u
#define HEADER       1024u /* room of struct packet in its memory, whole cache lines */
#define PACKETS_MAX  8192u
#define KEPT_MAX     512u
#define PIECES_BATCH 64u

_Static_assert(sizeof(struct packet) <= HEADER, "a packet and its bytes share a page");
_Static_assert(HEADER + PACKET_INLINE <= PAGE, "a packet and its bytes share a page");

static struct packet *kept;
static unsigned kept_count, packet_count;

static size_t pages_for(size_t size)
{
    return (HEADER + size + PAGE - 1) / PAGE;
}

static struct packet *take_memory(size_t pages)
{
    if (packet_count == PACKETS_MAX)
        return NULL;
    struct packet *packet = pages == 1 ? kept : NULL;
    if (packet) {
        kept = packet->next;
        kept_count--;
    } else {
        packet = dma_alloc(pages);
    }
    packet_count += packet != NULL;
    return packet;
}

static void give_memory(struct packet *packet, size_t pages)
{
    packet_count--;
    if (pages > 1 || kept_count == KEPT_MAX) {
        dma_free(packet, pages);
        return;
    }
    packet->next = kept;
    kept = packet;
    kept_count++;
}

struct packet *packet_alloc(size_t size)
{
    if (size > PACKET_MAX)
        return NULL;
    struct packet *packet = take_memory(pages_for(size));
    if (!packet)
        return NULL;
    /* Fragments beyond fragment_count are written before they are read. */
    memset(packet, 0, offsetof(struct packet, fragment));
    packet->release = NULL;
    packet->owner = NULL;
    packet->users = 1;
    packet->length = (uint32_t)size;
    packet->allocated = (uint32_t)size;
    packet->fragment_count = 1;
    packet->fragment[0] = (struct packet_fragment){.data = (char *)packet + HEADER,
                                                   .bus = dma_address((char *)packet + HEADER),
                                                   .bytes = (uint32_t)size};
    return packet;
}

/* --- granted fragments ---------------------------------------------------------------------------------- */

static void unpin(struct packet *packet)
{
    struct grant_pin pins[PACKET_FRAGMENTS];
    size_t count = 0;
    for (unsigned i = 0; i < packet->fragment_count; i++) {
        struct packet_fragment *f = &packet->fragment[i];
        if (f->data || !f->bus)
            continue;
        pins[count++] = (struct grant_pin){.ref = f->ref, .handle = f->pinned, .bus = f->bus - f->ref_offset};
        f->bus = 0;
    }
    if (count)
        grant_unpin(pins, count);
}

bool packet_pin(struct packet *packet)
{
    struct grant_pin pins[PACKET_FRAGMENTS];
    struct packet_fragment *fragments[PACKET_FRAGMENTS];
    size_t count = 0;
    for (unsigned i = 0; i < packet->fragment_count; i++) {
        struct packet_fragment *f = &packet->fragment[i];
        if (f->data || f->bus)
            continue;
        fragments[count] = f;
        pins[count++] = (struct grant_pin){.ref = f->ref, .read_only = true};
    }
    if (!count)
        return true;
    if (!grant_pin(fragments[0]->domid, pins, count, false)) {
        grant_unpin(pins, count);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        fragments[i]->bus = pins[i].bus + fragments[i]->ref_offset;
        fragments[i]->pinned = pins[i].handle;
    }
    return true;
}

void packet_put(struct packet *packet)
{
    if (--packet->users)
        return;
    unpin(packet);
    if (packet->release)
        packet->release(packet);
    give_memory(packet, pages_for(packet->allocated));
}

/* --- reading -------------------------------------------------------------------------------------------- */

/* Copies by the hypervisor that are collected for one call. */
struct fetch {
    struct gnttab_copy piece[PIECES_BATCH];
    size_t count;
    bool failed;
};

static void fetch_now(struct fetch *fetch)
{
    if (fetch->count && !grant_copy(fetch->piece, fetch->count))
        fetch->failed = true;
    fetch->count = 0;
}

/* The target may cross pages, which a piece may not. */
static void fetch_granted(struct fetch *fetch, const struct packet_fragment *f, uint32_t offset, char *to,
                          uint32_t bytes)
{
    while (bytes) {
        uint32_t room = PAGE - (uint32_t)((uint64_t)to % PAGE);
        uint32_t now = bytes < room ? bytes : room;
        if (fetch->count == PIECES_BATCH)
            fetch_now(fetch);
        fetch->piece[fetch->count++] = (struct gnttab_copy){
            .source = {.u.ref = f->ref, .domid = f->domid, .offset = (uint16_t)(f->ref_offset + offset)},
            .dest = {.u.gmfn = (uint64_t)to / PAGE,
                     .domid = DOMID_SELF,
                     .offset = (uint16_t)((uint64_t)to % PAGE)},
            .len = (uint16_t)now,
            .flags = GNTCOPY_source_gref};
        offset += now;
        to += now;
        bytes -= now;
    }
}

bool packet_read(struct packet *packet, uint32_t offset, void *to, size_t size)
{
    struct fetch fetch;
    fetch.count = 0;
    fetch.failed = false;
    char *at = to;
    for (unsigned i = 0; i < packet->fragment_count && size; i++) {
        const struct packet_fragment *f = &packet->fragment[i];
        if (offset >= f->bytes) {
            offset -= f->bytes;
            continue;
        }
        uint32_t now = f->bytes - offset < size ? f->bytes - offset : (uint32_t)size;
        if (f->data)
            memcpy(at, (char *)f->data + offset, now);
        else
            fetch_granted(&fetch, f, offset, at, now);
        at += now;
        size -= now;
        offset = 0;
    }
    fetch_now(&fetch);
    return !size && !fetch.failed;
}
