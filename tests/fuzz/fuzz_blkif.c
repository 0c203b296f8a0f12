/* sources: tests/unit/block_world.c tests/unit/block_front.c drivers/pv/blkback.c drivers/pv/blkback_ring.c
 * drivers/pv/blkback_io.c drivers/io/disk.c drivers/io/disk_submit.c drivers/io/ramdisk.c
 * drivers/io/partition.c drivers/io/gpt.c drivers/io/mbr.c lib/why.c */
/*
 * A frontend of the block back end whose requests, and in every other run whose ring indexes, are any. A
 * device reaches pinned pages only (block_world.c sees to that), each request of an honest ring is answered
 * once, no ring has more answers than requests, and when the frontend is gone nothing is pinned, mapped or
 * allocated.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <drivers/blkback.h>
#include <lib/why.h>
#include "../unit/block_front.h"

#define IDS 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t *input;
static size_t left;
static bool honest;
static unsigned rings;
static unsigned under_way[FRONT_RINGS]; /* posted and not answered, of an honest frontend */
static uint64_t next_id;
static bool open_id[IDS];
static struct fake_disk disk;

static uint8_t byte(void)
{
    if (!left)
        return 0;
    left--;
    return *input++;
}

static uint32_t number(void)
{
    uint32_t n = byte();
    return n < 0xf0 ? n : n << 24 | (uint32_t)byte() << 16 | byte();
}

/* Mostly a page that is granted; an honest frontend has no data read into its ring. */
static grant_ref_t reference(void)
{
    uint8_t n = byte();
    return n < 255 ? FRONT_DATA + n : honest ? WORLD_GRANTS : number();
}

static struct blkif_request_segment segment(void)
{
    uint8_t n = byte();
    struct blkif_request_segment s = {reference(), n & 7, (uint8_t)((n & 7) + (n >> 3) % 4u)};
    if (n >= 0xf8)
        s.first_sect = byte();
    return s;
}

static union front_request make_request(void)
{
    static const uint8_t operations[] = {BLKIF_OP_READ,     BLKIF_OP_WRITE,        BLKIF_OP_READ,
                                         BLKIF_OP_WRITE,    BLKIF_OP_DISCARD,      BLKIF_OP_FLUSH_DISKCACHE,
                                         BLKIF_OP_INDIRECT, BLKIF_OP_WRITE_BARRIER};
    union front_request r = {.rw = {.id = next_id++ % IDS}};
    uint8_t what = byte();
    r.rw.operation = what < 0xf0 ? operations[what % 8] : byte();
    r.rw.sector_number = number();
    if (what == 0xef)
        r.rw.sector_number = UINT64_MAX - byte();
    switch (r.rw.operation) {
    case BLKIF_OP_DISCARD:
        r.discard.flag = byte() & 1;
        r.discard.nr_sectors = number();
        break;
    case BLKIF_OP_INDIRECT:
        r.indirect.indirect_op = byte() % 16 ? what >> 3 & 1 : byte();
        r.indirect.nr_segments = (uint16_t)number();
        r.indirect.indirect_grefs[0] = reference();
        break;
    default:
        r.rw.nr_segments = byte() % 13;
        for (unsigned i = 0; i < r.rw.nr_segments && i < BLKIF_MAX_SEGMENTS_PER_REQUEST; i++)
            r.rw.seg[i] = segment();
    }
    return r;
}

static void post(unsigned ring)
{
    if (honest && under_way[ring] == front_size(ring))
        return;
    union front_request request = make_request();
    if (honest) {
        if (open_id[request.rw.id])
            return;
        open_id[request.rw.id] = true;
        under_way[ring]++;
    }
    front_put(ring, &request);
}

static void take_answers(void)
{
    uint64_t id;
    uint8_t operation;
    int16_t status;
    for (unsigned ring = 0; honest && ring < rings; ring++)
        while (front_take(ring, &id, &operation, &status)) {
            assert(id < IDS && open_id[id]);
            assert(status <= BLKIF_RSP_OKAY && status >= BLKIF_RSP_EOPNOTSUPP);
            open_id[id] = false;
            under_way[ring]--;
        }
}

static bool connect(void)
{
    uint8_t how = byte();
    rings = how % 4 + 1;
    memset(under_way, 0, sizeof under_way);
    memset(open_id, 0, sizeof open_id);
    return front_connect(rings, how / 4 % 3, how & 0x80);
}

static void disconnect(void)
{
    /* The disk is done with what it has, in time: before, or while the back end waits. */
    fake_disk_answer_all(&disk);
    front_disconnect();
    assert(!world_pinned && !world_mapped);
}

static void misbehave(unsigned ring)
{
    struct blkif_sring *shared = front_ring(ring);
    switch (byte() % 5) {
    case 0:
        shared->req_prod += number();
        break;
    case 1:
        shared->req_prod = number();
        break;
    case 2:
        shared->rsp_prod = number();
        break;
    case 3:
        shared->req_event = shared->rsp_event = number();
        break;
    default:
        ((uint8_t *)shared)[number() % WORLD_PAGE] = byte();
    }
}

static void step(void)
{
    uint8_t what = byte();
    unsigned ring = (what >> 4) % rings;
    switch (what % 16) {
    case 0:
        for (unsigned n = byte() % 40; n; n--)
            post(ring);
        break;
    case 1:
    case 2:
    case 3:
        post(ring);
        break;
    case 4:
    case 5:
    case 6:
        front_push(ring);
        break;
    case 7:
        front_notify(ring);
        break;
    case 8:
    case 9:
        if (disk.waiting)
            fake_disk_answer(&disk, what & 0x80 ? 0 : byte() % 8 ? 0 : 5);
        break;
    case 10:
        fake_disk_answer_all(&disk);
        break;
    case 11:
        world_work();
        break;
    case 12:
        take_answers();
        break;
    case 13:
        disk.late = byte() & 1;
        break;
    case 14:
        world_granted[FRONT_DATA + byte()] = byte() & 1;
        break;
    default:
        if (!honest)
            misbehave(ring);
    }
}

static bool is_settled(void)
{
    unsigned sum = 0;
    for (unsigned ring = 0; ring < rings; ring++)
        sum += under_way[ring];
    return !sum;
}

/* All that an honest frontend posted is answered when the disk is done with it. */
static void settle(void)
{
    disk.late = false;
    for (unsigned round = 0; round < 2000 && !is_settled(); round++) {
        for (unsigned ring = 0; ring < rings; ring++)
            front_push(ring);
        fake_disk_answer_all(&disk);
        world_work();
        take_answers();
    }
    assert(is_settled());
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct why why;
    input = data;
    left = size;
    world_reset();
    front_reset();
    fake_disk_init(&disk, "vda", 256);
    disk.disk.max_segments = 1 + byte() % 32;
    disk.disk.max_bytes = WORLD_PAGE * (1u + byte() % 32u);
    assert(disk_add(&disk.disk));
    for (unsigned i = FRONT_DATA; i < FRONT_RING_PAGE; i++)
        world_granted[i] = true;
    for (unsigned i = 0; i < 64; i++)
        ((struct blkif_request_segment *)world_page[FRONT_DATA + 1])[i] =
            (struct blkif_request_segment){FRONT_DATA + i, 0, 7};
    uint8_t how = byte();
    honest = how & 1;
    back_key("params", "vda");
    back_key("mode", how & 2 ? "w" : "r");
    blkback_init();
    assert(front_type->create(&front_backend, &why));
    for (unsigned lives = 0; lives < 3 && left; lives++) {
        bool connected = connect();
        for (unsigned steps = byte() * 2u; connected && steps && left; steps--)
            step();
        if (connected && honest)
            settle();
        if (connected)
            disconnect();
    }
    front_type->destroy(&front_backend);
    disk_remove(&disk.disk);
    assert(!world_blocks && !world_pages);
    fake_disk_free(&disk);
    return 0;
}
