/* sources: tests/unit/virtio_world.c tests/unit/net_below.c drivers/io/virtio_ring.c drivers/io/virtio_watch.c drivers/io/virtio_blk.c
 * drivers/io/virtio_net.c drivers/io/drive.c drivers/io/packet.c lib/printf.c lib/number.c */
/*
 * A virtio disk and a card whose device answers with any bytes, in any order: what it can write to memory is
 * taken for a lie until it is checked; each request is answered once, and no packet is lost or given back
 * twice.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <dom0/below.h>
#include "../../drivers/io/drivers.h"
#include "../unit/net_below.h"
#include "../unit/virtio_world.h"

#define REQUESTS 200
#define HELD     64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct input {
    const uint8_t *at, *end;
} input;

static uint32_t take(unsigned bytes)
{
    uint32_t value = 0;
    for (; bytes && input.at < input.end; bytes--)
        value = value << 8 | *input.at++;
    return value;
}

/* Chains that the device took and has not given back. */
static struct held {
    unsigned queue;
    struct chain chain;
} held[HELD];
static unsigned held_count;

static void hold(unsigned queue)
{
    if (held_count < HELD && virtio_take(queue, &held[held_count].chain))
        held[held_count++].queue = queue;
}

static uint32_t room(const struct chain *chain)
{
    uint32_t bytes = 0;
    for (unsigned i = 0; i < chain->count; i++)
        bytes += chain->buffer[i].writable ? chain->buffer[i].bytes : 0;
    return bytes;
}

/* A header of a packet in which most is plausible, so that what is not is looked at alone. */
static void plausible_header(uint8_t *bytes)
{
    uint8_t buffers = take(1) % 28, start = take(1), lie = take(1) % 16;
    uint8_t header[12] = {take(1) & 3, take(1) & 5, 54, 0,       0xa8, 5, start & 1 ? 34 : start,
                          0,           16,          0,  buffers, 0};
    if (lie < sizeof header)
        header[lie] = (uint8_t)take(1);
    memcpy(bytes, header, sizeof header);
}

/* Writes any bytes where it may, and gives back what it likes. */
static void give_back(bool honest)
{
    if (!held_count)
        return;
    struct held *h = &held[take(1) % held_count];
    uint32_t writable = room(&h->chain), bytes = take(4);
    if (honest)
        bytes = writable ? take(2) % (writable + 1) : 0;
    else if (bytes & 1)
        bytes = writable + (bytes & 0xfff);
    for (unsigned i = 0; i < h->chain.count; i++)
        for (unsigned n = 0; h->chain.buffer[i].writable && n < h->chain.buffer[i].bytes && n < 90; n++)
            h->chain.buffer[i].data[n] = (uint8_t)take(1);
    if (h->chain.count == 1 && writable > 12 && take(1) % 4)
        plausible_header(h->chain.buffer[h->chain.count - 1].data);
    virtio_use(h->queue, honest || take(1) & 1 ? h->chain.head : take(4), bytes);
    *h = held[--held_count];
}

/* False for a chain that was given back by a lie about its number: its descriptors may be of another by now.
 */
static bool still_held(const struct held *h)
{
    const struct virtio_ring *ring = virtio_world.ring[h->queue];
    if (!ring || !ring->slots[h->chain.head].token)
        return false;
    for (uint16_t i = virtio_world.seen[h->queue]; i != ring->available->index; i++)
        if (ring->available->ring[i % ring->size] == h->chain.head)
            return false;
    return true;
}

/* What the driver itself wrote to the shared memory is overwritten. */
static void scribble(void)
{
    const struct virtio_ring *ring = virtio_world.ring[take(1) % 3];
    if (!ring)
        return;
    uint8_t *used = (uint8_t *)ring->used;
    used[take(2) % (4 + ring->size * 8u + 2)] = (uint8_t)take(1);
    /* A chain that was taken is the device's to destroy. */
    for (unsigned i = 0; i < held_count && take(1) % 4 == 0; i++)
        if (still_held(&held[i]))
            memset(&virtio_world.ring[held[i].queue]->descriptors[held[i].chain.head], (int)take(1),
                   sizeof(struct ring_descriptor));
}

static void device_step(unsigned what)
{
    unsigned resets = virtio_world.resets;
    switch (what) {
    case 0:
    case 1:
        hold(take(1) % 3);
        break;
    case 2:
    case 3:
        give_back(true);
        break;
    case 4:
        give_back(take(1) % 8 != 0);
        break;
    case 5:
        if (take(1) % 8 == 0)
            virtio_use(take(1) % 3, take(2) % 70, take(2));
        break;
    case 6:
        virtio_pass(take(1) * 100000000ull / 8);
        break;
    default:
        virtio_interrupt();
    }
    if (virtio_world.resets != resets)
        held_count = 0;
}

/* --- the disk ------------------------------------------------------------------------------------------- */

static struct asked {
    struct disk_request request;
    struct disk_segment segment[8];
    unsigned answers;
} asked[REQUESTS];
static uint8_t pages[8][4096];

static void answered(struct disk_request *request, int error)
{
    struct asked *a = (struct asked *)request;
    assert(!a->answers && error >= 0);
    a->answers++;
}

static void ask(unsigned n)
{
    struct asked *a = &asked[n];
    *a = (struct asked){.request = {.operation = (enum disk_operation)(take(1) % 4),
                                    .force_unit_access = take(1) & 1,
                                    .segments = a->segment,
                                    .done = answered}};
    if (a->request.operation == DISK_READ || a->request.operation == DISK_WRITE)
        a->request.segment_count = 1 + take(1) % 8;
    for (unsigned i = 0; i < 8; i++)
        a->segment[i] = (struct disk_segment){(uint64_t)pages[i], pages[i], 4096};
    virtio_world.disk->operations->submit(virtio_world.disk, &a->request);
}

static void fuzz_disk(void)
{
    unsigned count = 0;
    while (input.at < input.end) {
        unsigned step = take(1) % 12;
        if (step < 8)
            device_step(step);
        else if (count < REQUESTS)
            ask(count++);
        scribble();
    }
    /* It comes to its senses. */
    for (unsigned i = 0; i < 3; i++) {
        struct chain chain;
        virtio_fail(virtio_world.driver, "the end");
        virtio_pass(3000000);
        for (; virtio_take(0, &chain); virtio_interrupt()) {
            *chain.buffer[chain.count - 1].data = 0;
            virtio_use(0, chain.head, room(&chain));
        }
    }
    for (unsigned i = 0; i < count; i++)
        assert(asked[i].answers == 1);
}

/* --- the card ------------------------------------------------------------------------------------------- */

static unsigned out; /* packets that were not released yet */

static void released(struct packet *packet)
{
    (void)packet;
    assert(out);
    out--;
}

static void send(void)
{
    struct packet *packet = packet_alloc(60 + take(1));
    if (!packet)
        return;
    packet->release = released;
    packet->checksum_blank = take(1) & 1;
    out++;
    virtio_world.nic->transmit(virtio_world.nic, packet);
    packet_put(packet);
    virtio_world.nic->flush(virtio_world.nic);
}

/* Reads every byte of what was received, as a guest would. */
static void read_received(void)
{
    static uint8_t bytes[PACKET_MAX];
    const struct packet *packet = virtio_world.last_received;
    if (!packet)
        return;
    assert(packet->length >= ETHERNET_HEADER && packet->length <= PACKET_MAX &&
           packet->fragment_count <= PACKET_FRAGMENTS);
    assert(packet_read(virtio_world.last_received, 0, bytes, packet->length));
    assert(packet->gso == GSO_NONE ||
           (packet->checksum_blank && packet->gso_size && packet->header_size < packet->length));
}

static void fuzz_card(void)
{
    while (input.at < input.end) {
        unsigned step = take(1) % 12;
        if (step < 8)
            device_step(step);
        else
            send();
        read_received();
        scribble();
    }
    virtio_fail(virtio_world.driver, "the end");
    virtio_pass(3000000);
    assert(!out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct virtio_world worlds[2];
    if (!worlds[0].driver) {
        struct pci_function disk = {.device_id = VIRTIO_ID_BLOCK}, card = {.device_id = VIRTIO_ID_NET};
        virtio_world_reset(~0ull);
        memset(virtio_world.config, 1, sizeof virtio_world.config);
        memcpy(virtio_world.config + 20, "\0\2\0", 4); /* sectors of 512 bytes */
        virtio_world.config[35] = 0;                   /* one queue */
        assert(virtio_blk_driver.probe(&disk));
        virtio_pass(3000000000); /* until it has no work in the world that goes */
        worlds[0] = virtio_world;
        virtio_world_reset(~0ull);
        assert(virtio_net_driver.probe(&card));
        worlds[1] = virtio_world;
    }
    input = (struct input){data, data + size};
    unsigned kind = take(1) & 1;
    virtio_world = worlds[kind];
    held_count = 0;
    if (kind)
        fuzz_card();
    else
        fuzz_disk();
    worlds[kind] = virtio_world;
    return 0;
}
