/*
 * A disk, used as no guest should: every request and every connection here is wrong in one way. The back end
 * must refuse it, and after each the disk must serve a well-behaved connection, which writes and reads back.
 * What the neighbours get out of it, the runner looks at.
 *
 * Words on the command line: device=51712, start=0 (MiB; 1 MiB from there is written to), and die: ends in
 * the middle of its requests.
 */
#include "check.h"
#include <drivers/blkfront.h>
#include <lib/printf.h>

#define ANSWER_TIME (5 * SECOND)
#define NO_ANSWER   99

static struct blk blk;
static unsigned devid;
static uint64_t start;
static uint8_t *buffer;
static grant_ref_t buffer_ref;

/* --- the well-behaved connection ------------------------------------------------------------------------ */

static bool connect(void)
{
    static const struct blk_options options = {.indirect = true};
    if (!blk_open(&blk, devid, &options))
        return false;
    buffer_ref = grant_offer(blk.device.backend_domid, buffer, false);
    return true;
}

static bool disconnect(void)
{
    return blk_close(&blk) & grant_withdraw(buffer_ref);
}

static int transfer(uint8_t operation)
{
    struct blkif_request_segment segment = {buffer_ref, 0, 7};
    struct blk_io io = {.operation = operation, .sector = start, .segments = &segment, .segment_count = 1};
    return blk_do(&blk, &io);
}

static void is_well(const char *after)
{
    static uint8_t pattern;
    pattern++;
    memset(buffer, pattern, PAGE_SIZE);
    bool good = EXPECT_EQ(transfer(BLKIF_OP_WRITE), BLKIF_RSP_OKAY);
    memset(buffer, 0, PAGE_SIZE);
    good &= EXPECT_EQ(transfer(BLKIF_OP_READ), BLKIF_RSP_OKAY);
    good &= EXPECT(buffer[0] == pattern && !memcmp(buffer, buffer + 1, PAGE_SIZE - 1));
    if (!good)
        pvh_printf("that was after %s\n", after);
}

static void again(const char *after)
{
    if (!EXPECT(disconnect()) || !EXPECT(connect()))
        pvh_panic("after %s there is no new connection", after);
    is_well(after);
}

/* --- requests that are wrong ---------------------------------------------------------------------------- */

static blkif_request_t *raw(void)
{
    blkif_request_t *request = RING_GET_REQUEST(&blk.queue[0].ring, blk.queue[0].ring.req_prod_pvt);
    memset(request, 0, sizeof *request);
    request->operation = BLKIF_OP_READ;
    request->nr_segments = 1;
    request->id = 0x1122334455667788;
    request->sector_number = start;
    request->seg[0] = (struct blkif_request_segment){buffer_ref, 0, 7};
    return request;
}

static void raw_push(void)
{
    blk.queue[0].ring.req_prod_pvt++;
    RING_PUSH_REQUESTS(&blk.queue[0].ring);
    event_send(blk.queue[0].port);
}

/* The status of the one answer that is due. */
static int raw_answer(uint64_t id)
{
    blkif_front_ring_t *ring = &blk.queue[0].ring;
    uint64_t end = pvh_time_ns() + ANSWER_TIME;
    int more;
    for (;;) {
        RING_FINAL_CHECK_FOR_RESPONSES(ring, more);
        if (more)
            break;
        if (!front_sleep(&blk.queue[0].port, 1, end))
            return NO_ANSWER;
    }
    blkif_response_t response = *RING_GET_RESPONSE(ring, ring->rsp_cons++);
    EXPECT_EQ(response.id, id);
    return response.status;
}

static void refused(const char *what, blkif_request_t *request)
{
    uint64_t id = request->id;
    raw_push();
    int status = raw_answer(id);
    if (!EXPECT(status == BLKIF_RSP_ERROR || status == BLKIF_RSP_EOPNOTSUPP))
        pvh_printf("%s: status %d\n", what, status);
    if (status == NO_ANSWER)
        again(what);
    else
        is_well(what);
}

static void bad_grants(void)
{
    /* Not 0 and 1, which the toolstack made: the console's page and the store's. */
    static const grant_ref_t refs[] = {2000, 0xffffff, 0x7fffffff, 0xffffffff};
    for (unsigned i = 0; i < ARRAY_SIZE(refs); i++) {
        blkif_request_t *request = raw();
        request->seg[0].gref = refs[i];
        refused("a bad grant reference", request);
    }
    blkif_request_t *request = raw();
    grant_ref_t half = grant_offer(blk.device.backend_domid, buffer, true);
    request->seg[0].gref = half;
    refused("a read into a page that may only be read", request);
    EXPECT(grant_withdraw(half));
    request = raw();
    request->nr_segments = 11;
    for (unsigned i = 1; i < 11; i++)
        request->seg[i] = request->seg[0];
    request->seg[10].gref = 0xfffffff0;
    refused("a bad grant reference behind good ones", request);
}

static void bad_places(void)
{
    uint64_t sectors = blk.sectors;
    const uint64_t places[] = {sectors,   sectors - 7, sectors + 1, 1ull << 40,       ~0ull,
                               ~0ull - 7, ~0ull - 8,   1ull << 55,  (1ull << 63) - 4, 1ull << 63};
    for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
        blkif_request_t *request = raw();
        request->sector_number = places[i];
        refused("sectors that the disk does not have", request);
        request = raw();
        request->operation = BLKIF_OP_WRITE;
        request->sector_number = places[i];
        refused("a write to sectors that the disk does not have", request);
        request = raw();
        request->operation = BLKIF_OP_DISCARD;
        ((blkif_request_discard_t *)request)->sector_number = places[i];
        ((blkif_request_discard_t *)request)->nr_sectors = 8;
        refused("a discard of sectors that the disk does not have", request);
    }
    blkif_request_t *request = raw();
    request->operation = BLKIF_OP_DISCARD;
    ((blkif_request_discard_t *)request)->nr_sectors = ~0ull;
    refused("a discard longer than all disks", request);
}

static void bad_segments(void)
{
    static const uint8_t bounds[][2] = {{0, 8},     {7, 0},   {8, 8},     {0, 255},
                                        {255, 255}, {255, 0}, {200, 100}, {1, 0}};
    for (unsigned i = 0; i < ARRAY_SIZE(bounds); i++) {
        blkif_request_t *request = raw();
        request->seg[0].first_sect = bounds[i][0];
        request->seg[0].last_sect = bounds[i][1];
        refused("a segment that is no part of a page", request);
    }
    static const uint8_t counts[] = {0, 12, 64, 255};
    for (unsigned i = 0; i < ARRAY_SIZE(counts); i++) {
        blkif_request_t *request = raw();
        request->nr_segments = counts[i];
        refused("a wrong number of segments", request);
    }
}

static void bad_operations(void)
{
    static const uint8_t operations[] = {4, 7, 99, 255};
    for (unsigned i = 0; i < ARRAY_SIZE(operations); i++) {
        blkif_request_t *request = raw();
        request->operation = operations[i];
        refused("an operation that there is not", request);
    }
}

static void bad_indirect(void)
{
    static const struct {
        uint8_t operation;
        uint16_t segments;
        grant_ref_t ref; /* 0: a good one */
    } cases[] = {{BLKIF_OP_READ, 0, 0},
                 {BLKIF_OP_READ, 65535, 0},
                 {BLKIF_OP_READ, 4097, 0},
                 {BLKIF_OP_READ, 20, 0xffffff00},
                 {BLKIF_OP_FLUSH_DISKCACHE, 20, 0},
                 {BLKIF_OP_DISCARD, 20, 0},
                 {BLKIF_OP_INDIRECT, 20, 0},
                 {255, 20, 0}};
    if (blk.max_segments <= BLKIF_MAX_SEGMENTS_PER_REQUEST)
        return;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        blkif_request_indirect_t *request = (blkif_request_indirect_t *)raw();
        request->operation = BLKIF_OP_INDIRECT;
        request->indirect_op = cases[i].operation;
        request->nr_segments = cases[i].segments;
        for (unsigned page = 0; page < BLKIF_MAX_INDIRECT_PAGES_PER_REQUEST; page++)
            request->indirect_grefs[page] = cases[i].ref ? cases[i].ref : blk.queue[0].indirect_refs[0];
        for (unsigned j = 0; j < BLK_MAX_SEGMENTS; j++)
            blk.queue[0].indirect[0][j] = (struct blkif_request_segment){buffer_ref, 0, 7};
        if (cases[i].segments == 20)
            blk.queue[0].indirect[0][19].gref = cases[i].operation == BLKIF_OP_READ ? buffer_ref : 0xfffffff;
        refused("a wrong indirect request", (blkif_request_t *)request);
    }
}

/* --- rings ---------------------------------------------------------------------------------------------- */

static void wild_indexes(void)
{
    static const RING_IDX steps[] = {33, 1000, 0x7fffffff, 0x80000000, 0xffffffff};
    for (unsigned i = 0; i < ARRAY_SIZE(steps); i++) {
        blk.queue[0].ring.sring->req_prod += steps[i];
        event_send(blk.queue[0].port);
        front_sleep(NULL, 0, pvh_time_ns() + 20 * MILLISECOND);
        again("a wild index");
    }
}

/* The contents of good requests change after they were posted. Whatever is answered, it is something. */
static void changed_requests(void)
{
    blkif_front_ring_t *ring = &blk.queue[0].ring;
    for (unsigned round = 0; round < 50; round++) {
        volatile blkif_request_t *request = raw();
        raw_push();
        for (unsigned i = 0; i < 200; i++) {
            request->nr_segments = (uint8_t)(i * 5);
            request->seg[0].first_sect = (uint8_t)i;
            request->seg[0].gref = i & 1 ? buffer_ref : 0xffffff;
            request->sector_number = i & 2 ? start : ~0ull;
            request->operation = (uint8_t)(i % 8);
            request->id = i;
        }
        int more;
        for (uint64_t end = pvh_time_ns() + ANSWER_TIME;;) {
            RING_FINAL_CHECK_FOR_RESPONSES(ring, more);
            if (more || !EXPECT(front_sleep(&blk.queue[0].port, 1, end)))
                break;
        }
        ring->rsp_cons++;
    }
    again("requests that changed");
}

static void flood(void)
{
    for (unsigned i = 0; i < 20000; i++)
        event_send(blk.queue[0].port);
    is_well("events for nothing");
}

/* The ring is written to when the connection is over. */
static void after_close(void)
{
    blkif_sring_t *old = blk.queue[0].ring.sring;
    for (unsigned i = 0; i < 8; i++) {
        *RING_GET_REQUEST(&blk.queue[0].ring, i) = *raw();
        old->req_prod++;
    }
    EXPECT(front_close(&blk.device));
    event_send(blk.queue[0].port);
    old->req_prod += 20;
    event_send(blk.queue[0].port);
    EXPECT(front_close(&blk.device));
    memset(&blk.queue[0].ring.sring->req_prod, 0xff, 64);
    event_send(blk.queue[0].port);
    if (!EXPECT(grant_withdraw(buffer_ref)) || !EXPECT(connect()))
        pvh_panic("no new connection after a ring was used when it was closed");
    is_well("the use of a closed ring");
}

/* --- connections that are wrong ------------------------------------------------------------------------- */

static void write_key(const char *key, const char *value)
{
    char path[64];
    snprintf(path, sizeof path, "%s/%s", blk.device.path, key);
    EXPECT_EQ(xs_write(path, "%s", value), 0);
}

static void bad_connections(void)
{
    static const char *const keys[][2] = {{"ring-ref", "99999999"},
                                          {"ring-ref", "-1"},
                                          {"ring-ref", "page"},
                                          {"ring-ref", ""},
                                          {"event-channel", "0"},
                                          {"event-channel", "77777777"},
                                          {"event-channel", "me"},
                                          {"ring-page-order", "31"},
                                          {"ring-page-order", "4294967295"},
                                          {"multi-queue-num-queues", "0"},
                                          {"multi-queue-num-queues", "100000"},
                                          {"multi-queue-num-queues", "2"},
                                          {"protocol", "elvish"}};
    for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
        EXPECT(disconnect());
        struct front_device *d = &blk.device;
        if (!EXPECT(front_open(d, "vbd", devid)))
            return;
        uint8_t *page = page_alloc(1);
        memset(page, 0, PAGE_SIZE);
        grant_ref_t ref = grant_offer(d->backend_domid, page, false);
        evtchn_port_t port = (evtchn_port_t)event_alloc_unbound(DOMID_SELF, d->backend_domid);
        front_write(d, -1, "ring-ref", ref);
        front_write(d, -1, "event-channel", port);
        write_key(keys[i][0], keys[i][1]);
        front_set_state(d, XenbusStateInitialised);
        front_sleep(NULL, 0, pvh_time_ns() + 50 * MILLISECOND);
        if (!EXPECT(front_state(d) != XenbusStateConnected))
            pvh_printf("with %s=%s\n", keys[i][0], keys[i][1]);
        EXPECT(front_close(d));
        event_close(port);
        EXPECT(grant_withdraw(ref));
        page_free(page, 1);
        front_rm(d, keys[i][0]);
        if (!EXPECT(connect()))
            pvh_panic("after %s=%s there is no new connection", keys[i][0], keys[i][1]);
        is_well("a wrong connection");
    }
}

/* --- the end -------------------------------------------------------------------------------------------- */

static void die(void)
{
    for (unsigned i = 0; i < 32; i++) {
        blkif_request_t *request = raw();
        request->operation = i & 1 ? BLKIF_OP_WRITE : BLKIF_OP_READ;
        request->id = i;
        blk.queue[0].ring.req_prod_pvt++;
    }
    RING_PUSH_REQUESTS(&blk.queue[0].ring);
    event_send(blk.queue[0].port);
    pvh_printf("dying\n");
    pvh_shutdown(SHUTDOWN_crash);
}

int main(void)
{
    char value[4];
    front_init();
    devid = (unsigned)option_number("device", 51712);
    start = option_number("start", 0) * 2048;
    buffer = page_alloc(1);
    if (EXPECT(connect())) {
        is_well("the start");
        if (pvh_option("die", value, sizeof value))
            die();
        bad_grants();
        bad_places();
        bad_segments();
        bad_operations();
        bad_indirect();
        flood();
        changed_requests();
        wild_indexes();
        after_close();
        bad_connections();
        EXPECT(disconnect());
    }
    return verdict("blkbad");
}
