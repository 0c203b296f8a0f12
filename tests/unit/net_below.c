/* See net_below.h. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <dom0/below.h>
#include <dom0/hardware.h>
#include <dom0/thread.h>
#include <drivers/grant.h>
#include <drivers/work.h>
#include <lib/number.h>
#include <lib/string.h>
#include <pvh/event.h>
#include "net_below.h"

struct net_world net_world;

static struct grant {
    uint8_t *page;
    bool revoked;
    unsigned users;
} grants[NET_GRANTS];

static struct key {
    struct key *next;
    char name[64], value[128];
} * keys;

static struct {
    evtchn_port_t remote;
    bool open;
    event_handler handler;
    void *arg;
} ports[NET_PORTS];

static struct work *works;

void net_world_reset(void)
{
    for (unsigned i = 0; i < NET_GRANTS; i++) {
        free(grants[i].page);
        grants[i] = (struct grant){.page = NULL};
    }
    for (struct key *next; keys; keys = next) {
        next = keys->next;
        free(keys);
    }
    memset(ports, 0, sizeof ports);
    works = NULL;
    const struct backend_type *type = net_world.type;
    net_world = (struct net_world){.now = 1000000000, .type = type};
}

/* --- dom0/below.h, dom0/hardware.h, dom0/thread.h ------------------------------------------------------- */

void *mem_alloc(size_t size)
{
    return net_world.no_memory ? NULL : calloc(1, size);
}

void mem_free(void *p)
{
    free(p);
}

void *dma_alloc(size_t count)
{
    void *pages = net_world.no_memory ? NULL : aligned_alloc(NET_PAGE, count * NET_PAGE);
    return pages ? memset(pages, 0xa5, count * NET_PAGE) : NULL;
}

void dma_free(void *pages, size_t count)
{
    (void)count;
    free(pages);
}

uint64_t time_ns(void)
{
    return net_world.now;
}

void thread_sleep(uint64_t ns)
{
    net_world.now += ns;
    assert(net_world.slept);
    net_world.slept();
}

void print(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(net_world.said, sizeof net_world.said, format, args);
    va_end(args);
}

/* --- drivers/work.h ------------------------------------------------------------------------------------- */

void work_at(struct work *work, uint64_t due)
{
    if (work->queued) {
        work->due = due < work->due ? due : work->due;
        return;
    }
    work->queued = true;
    work->due = due;
    work->next = works;
    works = work;
}

void work_later(struct work *work)
{
    work_at(work, net_world.now + 1);
}

void work_cancel(struct work *work)
{
    for (struct work **link = &works; *link; link = &(*link)->next)
        if (*link == work) {
            *link = work->next;
            work->queued = false;
            return;
        }
}

bool net_work(void)
{
    for (struct work **link = &works; *link; link = &(*link)->next) {
        struct work *work = *link;
        if (work->due > net_world.now)
            continue;
        *link = work->next;
        work->queued = false;
        work->run(work);
        return true;
    }
    return false;
}

/* --- drivers/grant.h ------------------------------------------------------------------------------------ */

uint8_t *net_page(grant_ref_t ref)
{
    assert(ref < NET_GRANTS);
    if (!grants[ref].page)
        grants[ref].page = aligned_alloc(NET_PAGE, NET_PAGE);
    return grants[ref].page;
}

void net_revoke(grant_ref_t ref)
{
    grants[ref].revoked = true;
}

static uint8_t *granted(grant_ref_t ref)
{
    return ref < NET_GRANTS && grants[ref].page && !grants[ref].revoked ? grants[ref].page : NULL;
}

void *grant_map_ring(domid_t domid, const grant_ref_t *refs, size_t count, grant_handle_t *handles)
{
    (void)domid;
    assert(count == 1);
    if (!granted(refs[0]))
        return NULL;
    handles[0] = refs[0];
    net_world.mapped++;
    return granted(refs[0]);
}

void grant_unmap_ring(void *ring, size_t count, const grant_handle_t *handles)
{
    assert(count == 1 && grants[handles[0]].page == ring);
    net_world.mapped--;
}

bool grant_pin(domid_t domid, struct grant_pin *pins, size_t count, bool data)
{
    bool all = true;
    (void)domid;
    assert(!data);
    for (size_t i = 0; i < count; i++) {
        pins[i].status = granted(pins[i].ref) ? GNTST_okay : GNTST_bad_gntref;
        pins[i].handle = pins[i].ref;
        pins[i].bus = (uint64_t)granted(pins[i].ref);
        net_world.pinned += pins[i].status == GNTST_okay;
        all &= pins[i].status == GNTST_okay;
    }
    return all;
}

void grant_unpin(struct grant_pin *pins, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (pins[i].status == GNTST_okay) {
            assert(grants[pins[i].handle].page == (void *)pins[i].bus && net_world.pinned);
            net_world.pinned--;
        }
}

static uint8_t *copy_side(const struct gnttab_copy_ptr *side, bool by_ref)
{
    if (by_ref)
        return granted(side->u.ref);
    assert(side->domid == DOMID_SELF);
    return (uint8_t *)(side->u.gmfn * NET_PAGE);
}

bool grant_copy(struct gnttab_copy *pieces, size_t count)
{
    bool all = true;
    net_world.copies++;
    for (size_t i = 0; i < count; i++) {
        struct gnttab_copy *p = &pieces[i];
        uint8_t *from = copy_side(&p->source, p->flags & GNTCOPY_source_gref);
        uint8_t *to = copy_side(&p->dest, p->flags & GNTCOPY_dest_gref);
        assert(p->len && p->source.offset + p->len <= NET_PAGE && p->dest.offset + p->len <= NET_PAGE);
        p->status = from && to ? GNTST_okay : GNTST_bad_gntref;
        if (from && to)
            memmove(to + p->dest.offset, from + p->source.offset, p->len);
        all &= from && to;
    }
    return all;
}

/* --- pvh/event.h ---------------------------------------------------------------------------------------- */

long event_bind_interdomain(domid_t remote, evtchn_port_t remote_port)
{
    (void)remote;
    if (remote_port >= NET_PORTS)
        return -22;
    for (long port = 1; port < NET_PORTS; port++)
        if (!ports[port].open) {
            ports[port].open = true;
            ports[port].remote = remote_port;
            net_world.open++;
            return port;
        }
    return -28;
}

void event_handle(evtchn_port_t port, event_handler handler, void *arg)
{
    ports[port].handler = handler;
    ports[port].arg = arg;
}

long event_close(evtchn_port_t port)
{
    assert(ports[port].open && !ports[port].handler);
    ports[port].open = false;
    net_world.open--;
    return 0;
}

long event_send(evtchn_port_t port)
{
    if (port < NET_PORTS && ports[port].open)
        net_world.events[ports[port].remote]++;
    return 0;
}

void net_ring(evtchn_port_t remote_port)
{
    for (unsigned i = 0; i < NET_PORTS; i++)
        if (ports[i].open && ports[i].remote == remote_port && ports[i].handler)
            ports[i].handler(i, ports[i].arg);
}

/* --- drivers/xenbus.h ----------------------------------------------------------------------------------- */

static void set_key(const char *side, domid_t domid, const char *key, const char *value)
{
    char name[64];
    snprintf(name, sizeof name, "%s/%u/%s", side, domid, key);
    for (struct key **link = &keys; *link; link = &(*link)->next)
        if (!strcmp((*link)->name, name)) {
            struct key *old = *link;
            *link = old->next;
            free(old);
            break;
        }
    if (!value)
        return;
    struct key *made = calloc(1, sizeof *made);
    strlcpy(made->name, name, sizeof made->name);
    strlcpy(made->value, value, sizeof made->value);
    made->next = keys;
    keys = made;
}

static const char *get_key(const char *side, domid_t domid, const char *key)
{
    char name[64];
    snprintf(name, sizeof name, "%s/%u/%s", side, domid, key);
    for (struct key *k = keys; k; k = k->next)
        if (!strcmp(k->name, name))
            return k->value;
    return NULL;
}

void net_front_key(domid_t domid, const char *key, const char *value)
{
    set_key("front", domid, key, value);
}

void net_back_key(domid_t domid, const char *key, const char *value)
{
    set_key("back", domid, key, value);
}

const char *net_back_value(domid_t domid, const char *key)
{
    return get_key("back", domid, key);
}

bool backend_register(const struct backend_type *type)
{
    net_world.type = type;
    return true;
}

bool backend_read(const struct backend *b, const char *key, char *value, size_t size)
{
    const char *found = get_key("back", b->domid, key);
    return found && strlcpy(value, found, size) < size;
}

bool frontend_read(const struct backend *b, const char *key, char *value, size_t size)
{
    const char *found = get_key("front", b->domid, key);
    return found && strlcpy(value, found, size) < size;
}

bool frontend_read_number(const struct backend *b, const char *key, uint64_t *value)
{
    const char *found = get_key("front", b->domid, key);
    return found && parse_number(found, value);
}

int backend_write(const struct backend *b, const char *key, const char *format, ...)
{
    char value[128];
    va_list args;
    va_start(args, format);
    vsnprintf(value, sizeof value, format, args);
    va_end(args);
    set_key("back", b->domid, key, value);
    return 0;
}

void backend_complain(struct backend *b, const char *format, ...)
{
    va_list args;
    (void)b;
    va_start(args, format);
    vsnprintf(net_world.said, sizeof net_world.said, format, args);
    va_end(args);
    net_world.complaints++;
}

/* --- cards and packets ---------------------------------------------------------------------------------- */

static bool transmit(struct nic *nic, struct packet *packet)
{
    struct net_card *card = nic->driver_data;
    for (unsigned i = 0; i < packet->fragment_count; i++)
        assert(packet->fragment[i].bus && packet->fragment[i].bytes);
    if (card->count == card->room)
        return false;
    card->sent[card->count++] = packet_get(packet);
    return true;
}

static void flush(struct nic *nic)
{
    ((struct net_card *)nic->driver_data)->flushes++;
}

void net_card_init(struct net_card *card)
{
    *card = (struct net_card){.nic = {.driver = "test",
                                      .mtu = 1500,
                                      .link = true,
                                      .checksum_offload = true,
                                      .gso_v4 = true,
                                      .gso_v6 = true,
                                      .max_fragments = PACKET_FRAGMENTS,
                                      .transmit = transmit,
                                      .flush = flush},
                              .room = 64};
    card->nic.driver_data = card;
}

void net_card_complete(struct net_card *card)
{
    while (card->count)
        packet_put(card->sent[--card->count]);
}

struct packet *net_packet(const void *bytes, size_t size)
{
    struct packet *packet = packet_alloc(size);
    memcpy(packet->fragment[0].data, bytes, size);
    return packet;
}

/* As the RFCs have it, in the plainest way, to check the real ones against. */
static uint32_t words(const uint8_t *p, size_t size)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < size; i++)
        sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
    return sum;
}

static uint16_t folded(uint32_t sum)
{
    while (sum > 0xffff)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

size_t net_tcp(uint8_t *to, unsigned version, size_t payload)
{
    size_t ip = 14, tcp = ip + (version == 4 ? 20 : 40), size = tcp + 20 + payload;
    static const uint8_t ethernet[12] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};
    memset(to, 0, tcp + 20);
    memcpy(to, ethernet, sizeof ethernet);
    uint32_t sum;
    if (version == 4) {
        uint8_t header[20] = {0x45, 0, 0, 0, 0x12, 0x34, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2};
        header[2] = (uint8_t)((size - ip) >> 8);
        header[3] = (uint8_t)(size - ip);
        uint16_t check = (uint16_t)~folded(words(header, 20));
        header[10] = (uint8_t)(check >> 8);
        header[11] = (uint8_t)check;
        memcpy(to + ip, header, 20);
        memcpy(to + 12, "\x08\x00", 2);
        sum = words(to + ip + 12, 8);
    } else {
        uint8_t header[40] = {0x60, 0,  0,    0,   (uint8_t)((size - tcp) >> 8), (uint8_t)(size - tcp),
                              6,    64, 0xfe, 0x80};
        header[23] = 1;
        header[24] = 0xfe;
        header[39] = 2;
        memcpy(to + ip, header, 40);
        memcpy(to + 12, "\x86\xdd", 2);
        sum = words(to + ip + 8, 32);
    }
    uint8_t header[20] = {0x30, 0x39, 0, 80, 0xff, 0xff, 0xff, 0x00, 0, 0, 0, 1, 0x50, 0x99, 0xff, 0xff};
    sum += 6 + (uint32_t)(size - tcp);
    header[16] = (uint8_t)(folded(sum) >> 8);
    header[17] = (uint8_t)folded(sum);
    memcpy(to + tcp, header, 20);
    for (size_t i = 0; i < payload; i++)
        to[tcp + 20 + i] = (uint8_t)(i + i / 251);
    return size;
}

bool net_checksums_right(const uint8_t *packet, size_t size)
{
    const uint8_t *ip = packet + 14;
    bool four = ip[0] >> 4 == 4;
    size_t header = four ? 20 : 40, length = size - 14 - header;
    if (four && folded(words(ip, 20)) != 0xffff)
        return false;
    uint32_t sum = words(ip + (four ? 12 : 8), four ? 8 : 32) + (four ? ip[9] : ip[6]) + (uint32_t)length;
    return folded(sum + words(ip + header, length)) == 0xffff;
}
