/* sources: tests/unit/block_world.c tests/unit/block_front.c drivers/pv/blkback.c drivers/pv/blkback_ring.c
 * drivers/pv/blkback_io.c drivers/io/disk.c drivers/io/disk_submit.c drivers/io/ramdisk.c
 * drivers/io/partition.c drivers/io/gpt.c drivers/io/mbr.c lib/why.c */
/* The block back end against frontends that keep to the protocol, and such that do not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <drivers/blkback.h>
#include <drivers/work.h>
#include <lib/why.h>
#include <cmocka.h>
#include <xen/errno.h>
#include "block_front.h"

static struct fake_disk vda;
static struct why why;

static void open_device(const char *mode)
{
    back_key("params", "/dev/vda");
    back_key("mode", mode);
    blkback_init();
    assert_true(front_type->create(&front_backend, &why));
}

static int begin(void **state)
{
    (void)state;
    world_reset();
    front_reset();
    fake_disk_init(&vda, "vda", 4096);
    memset(vda.bytes, 0, 512);
    assert_true(disk_add(&vda.disk));
    for (unsigned i = FRONT_DATA; i < WORLD_GRANTS; i++) {
        world_granted[i] = i < FRONT_RING_PAGE || i == WORLD_GRANTS - 1;
        memset(world_page[i], (int)i, WORLD_PAGE);
    }
    return 0;
}

static int begin_connected(void **state)
{
    begin(state);
    open_device("w");
    assert_true(front_connect(1, 0, false));
    world_work();
    return 0;
}

static void close_device(void)
{
    front_disconnect();
    front_type->destroy(&front_backend);
}

static int end(void **state)
{
    (void)state;
    if (!vda.disk.removed)
        disk_remove(&vda.disk);
    assert_int_equal(vda.disk.users, 0);
    fake_disk_free(&vda);
    assert_int_equal(world_pinned, 0);
    assert_int_equal(world_mapped, 0);
    assert_int_equal(world_blocks, 0);
    assert_int_equal(world_pages, 0);
    return 0;
}

static int end_connected(void **state)
{
    close_device();
    return end(state);
}

/* --- requests ------------------------------------------------------------------------------------------- */

/* Whole pages from FRONT_DATA + page on. */
static union front_request rw(uint8_t operation, uint64_t id, uint64_t sector, unsigned page,
                              unsigned segments)
{
    union front_request request = {
        .rw = {.operation = operation, .nr_segments = (uint8_t)segments, .id = id, .sector_number = sector}};
    for (unsigned i = 0; i < segments && i < BLKIF_MAX_SEGMENTS_PER_REQUEST; i++)
        request.rw.seg[i] = (struct blkif_request_segment){FRONT_DATA + page + i, 0, 7};
    return request;
}

/* Posts it alone and returns the answer's status; 1: there is none. */
static int ask(const union front_request *request)
{
    uint64_t id;
    uint8_t operation;
    int16_t status;
    front_put(0, request);
    front_push(0);
    if (!front_take(0, &id, &operation, &status))
        return 1;
    assert_int_equal(id, request->rw.id);
    return status;
}

static int ask_rw(uint8_t operation, uint64_t sector, unsigned page, unsigned segments)
{
    union front_request request = rw(operation, 0x1122334455667788, sector, page, segments);
    return ask(&request);
}

static unsigned count_answers(unsigned ring, int wanted)
{
    uint64_t id;
    uint8_t operation;
    int16_t status;
    unsigned n = 0;
    for (; front_take(ring, &id, &operation, &status); n++)
        assert_int_equal(status, wanted);
    return n;
}

static void features_are_told(void **state)
{
    (void)state;
    vda.disk.physical_sector_size = 4096;
    vda.disk.discard_granularity = 8192;
    back_key("device-type", "cdrom");
    open_device("r");
    assert_string_equal(back_value("sectors"), "4096");
    assert_string_equal(back_value("sector-size"), "512");
    assert_string_equal(back_value("physical-sector-size"), "4096");
    assert_string_equal(back_value("info"), "5");
    assert_string_equal(back_value("feature-discard"), "0");
    assert_string_equal(back_value("feature-flush-cache"), "1");
    assert_string_equal(back_value("feature-barrier"), "0");
    assert_string_equal(back_value("feature-persistent"), "");
    assert_string_equal(back_value("feature-max-indirect-segments"), "256");
    front_type->destroy(&front_backend);
    back_key("device-type", "disk");
    open_device("w");
    assert_string_equal(back_value("info"), "0");
    assert_string_equal(back_value("feature-discard"), "1");
    assert_string_equal(back_value("feature-barrier"), "1");
    assert_string_equal(back_value("discard-granularity"), "8192");
    assert_string_equal(back_value("discard-secure"), "0");
    front_type->destroy(&front_backend);
    back_key("discard-enable", "0");
    vda.disk.flush = false;
    open_device("w");
    assert_string_equal(back_value("feature-flush-cache"), "0");
    assert_string_equal(back_value("feature-barrier"), "0");
    assert_string_equal(back_value("feature-discard"), "0");
    front_type->destroy(&front_backend);
    back_key("params", "/dev/none");
    assert_false(front_type->create(&front_backend, &why));
    assert_non_null(strstr(why.text, "no disk"));
}

static void sectors_move_without_copies(void **state)
{
    (void)state;
    assert_int_equal(ask_rw(BLKIF_OP_READ, 8, 0, 3), BLKIF_RSP_OKAY);
    for (unsigned i = 0; i < 3; i++)
        assert_memory_equal(world_page[FRONT_DATA + i], vda.bytes + 8 * 512 + i * 4096, 4096);
    assert_int_equal(world_pin_calls, 1);
    assert_int_equal(world_unpin_calls, 1);
    assert_int_equal(front_events[0], 1);
    world_granted_read_only[FRONT_DATA + 20] = true;
    assert_int_equal(ask_rw(BLKIF_OP_WRITE, 100, 20, 1), BLKIF_RSP_OKAY);
    assert_memory_equal(vda.bytes + 100 * 512, world_page[FRONT_DATA + 20], 4096);
    union front_request request = rw(BLKIF_OP_READ, 1, 50, 0, 2);
    request.rw.seg[0].first_sect = request.rw.seg[0].last_sect = 7;
    request.rw.seg[1].last_sect = 0;
    assert_int_equal(ask(&request), BLKIF_RSP_OKAY);
    assert_memory_equal(world_page[FRONT_DATA] + 7 * 512, vda.bytes + 50 * 512, 512);
    assert_memory_equal(world_page[FRONT_DATA + 1], vda.bytes + 51 * 512, 512);
    struct blkback_info info;
    assert_true(blkback_at(0, &info));
    assert_int_equal(info.statistics.reads, 2);
    assert_int_equal(info.statistics.read_sectors, 26);
    assert_int_equal(info.statistics.written_sectors, 8);
    assert_string_equal(info.disk, "vda");
    assert_false(blkback_at(1, &info));
}

static void a_batch_is_pinned_and_unpinned_at_once(void **state)
{
    (void)state;
    vda.late = true;
    world_pin_calls = 0;
    for (unsigned i = 0; i < 20; i++) {
        union front_request request = rw(BLKIF_OP_READ, i, i * 8, i * 2, 2);
        front_put(0, &request);
    }
    front_push(0);
    assert_int_equal(vda.waiting, 20);
    assert_int_equal(world_pin_calls, 1);
    fake_disk_answer_all(&vda);
    assert_int_equal(world_unpin_calls, 1);
    assert_int_equal(count_answers(0, BLKIF_RSP_OKAY), 20);
    assert_int_equal(front_events[0], 1);

    /* The first of two is answered when work has its turn. */
    for (unsigned i = 0; i < 2; i++) {
        union front_request request = rw(BLKIF_OP_READ, i, i * 8, i * 2, 2);
        front_put(0, &request);
    }
    front_push(0);
    fake_disk_answer(&vda, 0);
    assert_int_equal(count_answers(0, BLKIF_RSP_OKAY), 0);
    world_work();
    assert_int_equal(count_answers(0, BLKIF_RSP_OKAY), 1);
    fake_disk_answer(&vda, 0);
    assert_int_equal(count_answers(0, BLKIF_RSP_OKAY), 1);
}

static union front_request indirect(uint8_t operation, uint64_t sector, unsigned page, unsigned segments)
{
    struct blkif_request_segment *list = (void *)world_page[WORLD_GRANTS - 1];
    for (unsigned i = 0; i < segments && i < 512; i++)
        list[i] = (struct blkif_request_segment){FRONT_DATA + page + i, 0, 7};
    return (union front_request){.indirect = {.operation = BLKIF_OP_INDIRECT,
                                              .indirect_op = operation,
                                              .nr_segments = (uint16_t)segments,
                                              .id = 99,
                                              .sector_number = sector,
                                              .indirect_grefs = {WORLD_GRANTS - 1}}};
}

static int ask_indirect(uint8_t operation, uint64_t sector, unsigned page, unsigned segments)
{
    union front_request request = indirect(operation, sector, page, segments);
    uint64_t id;
    uint8_t answered;
    int16_t status;
    front_put(0, &request);
    front_push(0);
    assert_true(front_take(0, &id, &answered, &status));
    assert_int_equal(id, 99);
    assert_int_equal(answered, operation);
    return status;
}

static void indirect_requests_have_many_segments(void **state)
{
    (void)state;
    assert_int_equal(ask_indirect(BLKIF_OP_READ, 16, 0, 256), BLKIF_RSP_OKAY);
    for (unsigned i = 0; i < 256; i++)
        assert_memory_equal(world_page[FRONT_DATA + i], vda.bytes + (16 + i * 8) * 512, 4096);
    assert_int_equal(ask_indirect(BLKIF_OP_WRITE, 0, 5, 40), BLKIF_RSP_OKAY);
    assert_memory_equal(vda.bytes + 39 * 4096, world_page[FRONT_DATA + 44], 4096);
    assert_int_equal(ask_indirect(BLKIF_OP_READ, 0, 0, 0), BLKIF_RSP_ERROR);
    assert_int_equal(ask_indirect(BLKIF_OP_READ, 0, 0, 257), BLKIF_RSP_ERROR);
    assert_int_equal(ask_indirect(BLKIF_OP_DISCARD, 0, 0, 1), BLKIF_RSP_ERROR);
    assert_int_equal(ask_indirect(BLKIF_OP_INDIRECT, 0, 0, 1), BLKIF_RSP_ERROR);
    world_granted[WORLD_GRANTS - 1] = false;
    assert_int_equal(ask_indirect(BLKIF_OP_READ, 0, 0, 20), BLKIF_RSP_ERROR);
}

static void a_flush_is_the_disks(void **state)
{
    (void)state;
    vda.late = true;
    assert_int_equal(ask_rw(BLKIF_OP_FLUSH_DISKCACHE, 0, 0, 0), 1);
    assert_int_equal(vda.flushed, 0);
    fake_disk_answer(&vda, 0);
    assert_int_equal(vda.flushed, 1);
    assert_int_equal(count_answers(0, BLKIF_RSP_OKAY), 1);
    ask_rw(BLKIF_OP_FLUSH_DISKCACHE, 0, 0, 0);
    fake_disk_answer(&vda, XEN_EIO);
    assert_int_equal(count_answers(0, BLKIF_RSP_ERROR), 1);
}

static void nothing_passes_a_barrier(void **state)
{
    (void)state;
    vda.late = true;
    union front_request request = rw(BLKIF_OP_WRITE, 1, 0, 0, 1);
    front_put(0, &request);
    request = rw(BLKIF_OP_WRITE_BARRIER, 2, 8, 1, 1);
    front_put(0, &request);
    request = rw(BLKIF_OP_WRITE, 3, 16, 2, 1);
    front_put(0, &request);
    front_push(0);
    assert_int_equal(vda.waiting, 1);
    fake_disk_answer(&vda, 0);
    /* First what is in the cache, then the write to the medium. */
    assert_int_equal(vda.waiting, 1);
    assert_int_equal(vda.first->operation, DISK_FLUSH);
    fake_disk_answer(&vda, 0);
    assert_int_equal(vda.waiting, 1);
    assert_int_equal(vda.first->operation, DISK_WRITE);
    assert_true(vda.first->force_unit_access);
    assert_int_equal(vda.first->sector, 8);
    fake_disk_answer(&vda, 0);
    assert_int_equal(vda.waiting, 1);
    assert_false(vda.first->force_unit_access);
    assert_int_equal(vda.first->sector, 16);
    fake_disk_answer(&vda, 0);
    assert_int_equal(count_answers(0, BLKIF_RSP_OKAY), 3);
    assert_memory_equal(vda.bytes + 8 * 512, world_page[FRONT_DATA + 1], 4096);
}

static int ask_discard(uint64_t sector, uint64_t sectors, uint8_t flag)
{
    union front_request request = {.discard = {.operation = BLKIF_OP_DISCARD,
                                               .flag = flag,
                                               .id = 5,
                                               .sector_number = sector,
                                               .nr_sectors = sectors}};
    return ask(&request);
}

static void discards_are_checked(void **state)
{
    (void)state;
    vda.submitted = 0;
    assert_int_equal(ask_discard(8, 100, 0), BLKIF_RSP_OKAY);
    assert_int_equal(vda.last_sectors, 100);
    assert_int_equal(ask_discard(8, 100, BLKIF_DISCARD_SECURE), BLKIF_RSP_EOPNOTSUPP);
    assert_int_equal(ask_discard(4000, 97, 0), BLKIF_RSP_ERROR);
    assert_int_equal(ask_discard(UINT64_MAX, 2, 0), BLKIF_RSP_ERROR);
    assert_int_equal(ask_discard(1, UINT64_MAX, 0), BLKIF_RSP_ERROR);
    assert_int_equal(vda.submitted, 1);
}

static void wrong_requests_are_answered_with_errors(void **state)
{
    (void)state;
    unsigned submitted = vda.submitted;
    assert_int_equal(ask_rw(BLKIF_OP_READ, 4096, 0, 1), BLKIF_RSP_ERROR);
    assert_int_equal(ask_rw(BLKIF_OP_READ, 4089, 0, 1), BLKIF_RSP_ERROR);
    assert_int_equal(ask_rw(BLKIF_OP_WRITE, UINT64_MAX - 3, 0, 1), BLKIF_RSP_ERROR);
    assert_int_equal(ask_rw(BLKIF_OP_READ, 0, 0, 0), BLKIF_RSP_ERROR);
    assert_int_equal(ask_rw(BLKIF_OP_WRITE, 0, 0, 12), BLKIF_RSP_ERROR);
    assert_int_equal(ask_rw(BLKIF_OP_WRITE, 0, 0, 255), BLKIF_RSP_ERROR);
    assert_int_equal(ask_rw(BLKIF_OP_RESERVED_1, 0, 0, 1), BLKIF_RSP_EOPNOTSUPP);
    assert_int_equal(ask_rw(200, 0, 0, 1), BLKIF_RSP_EOPNOTSUPP);
    union front_request request = rw(BLKIF_OP_WRITE, 1, 0, 0, 2);
    request.rw.seg[1].first_sect = 3;
    request.rw.seg[1].last_sect = 2;
    assert_int_equal(ask(&request), BLKIF_RSP_ERROR);
    request.rw.seg[1].last_sect = 8;
    assert_int_equal(ask(&request), BLKIF_RSP_ERROR);
    world_granted[FRONT_DATA + 2] = false;
    assert_int_equal(ask_rw(BLKIF_OP_READ, 0, 0, 5), BLKIF_RSP_ERROR);
    world_granted_read_only[FRONT_DATA + 3] = true;
    assert_int_equal(ask_rw(BLKIF_OP_READ, 0, 3, 1), BLKIF_RSP_ERROR);
    assert_int_equal(vda.submitted, submitted);
    assert_int_equal(front_complaints, 12);
    assert_int_equal(ask_rw(BLKIF_OP_READ, 0, 4, 1), BLKIF_RSP_OKAY);
}

static void a_read_only_disk_is_not_written(void **state)
{
    (void)state;
    open_device("r");
    assert_true(front_connect(1, 0, false));
    world_work();
    unsigned submitted = vda.submitted;
    assert_int_equal(ask_rw(BLKIF_OP_WRITE, 0, 0, 1), BLKIF_RSP_ERROR);
    assert_int_equal(ask_rw(BLKIF_OP_WRITE_BARRIER, 0, 0, 1), BLKIF_RSP_ERROR);
    assert_int_equal(ask_indirect(BLKIF_OP_WRITE, 0, 0, 20), BLKIF_RSP_ERROR);
    assert_int_equal(ask_discard(0, 8, 0), BLKIF_RSP_EOPNOTSUPP);
    assert_int_equal(vda.submitted, submitted);
    assert_int_equal(ask_rw(BLKIF_OP_READ, 0, 0, 1), BLKIF_RSP_OKAY);
    close_device();
}

/* --- rings ---------------------------------------------------------------------------------------------- */

static void wild_indexes_end_the_ring(void **state)
{
    (void)state;
    const uint32_t wild[] = {33, 0x80000000, UINT32_MAX};
    for (unsigned i = 0; i < 3; i++) {
        front_ring(0)->req_prod = wild[i];
        front_notify(0);
        assert_int_equal(front_complaints, i + 1);
        assert_int_equal(front_ring(0)->rsp_prod, 0);
        /* Said once, and not looked at again. */
        front_ring(0)->req_prod = 1;
        front_notify(0);
        world_work();
        assert_int_equal(front_complaints, i + 1);
        front_disconnect();
        assert_true(front_connect(1, 0, false));
        world_work();
    }
    /* Backwards, while something is under way. */
    vda.late = true;
    ask_rw(BLKIF_OP_READ, 0, 0, 1);
    ask_rw(BLKIF_OP_READ, 0, 0, 1);
    front_ring(0)->req_prod = 1;
    front_notify(0);
    assert_int_equal(front_complaints, 4);
    fake_disk_answer_all(&vda);
    assert_int_equal(count_answers(0, BLKIF_RSP_OKAY), 2);
}

static void many_rings_and_pages(void **state)
{
    (void)state;
    for (unsigned bits32 = 0; bits32 < 2; bits32++)
        for (unsigned order = 0; order <= 4; order += 2) {
            open_device("w");
            assert_true(front_connect(4, order, bits32));
            world_work();
            assert_int_equal(world_mapped, 4u << order);
            assert_int_equal(front_size(0), 32u << order);
            for (unsigned n = 0; n < front_size(0) + 5; n++)
                for (unsigned ring = 0; ring < 4; ring++) {
                    union front_request request = rw(BLKIF_OP_READ, n, n, 0, 1);
                    front_put(ring, &request);
                    front_push(ring);
                    assert_int_equal(count_answers(ring, BLKIF_RSP_OKAY), 1);
                }
            close_device();
        }
}

static void wrong_rings_are_refused(void **state)
{
    (void)state;
    open_device("w");
    assert_false(front_connect(4, 5, false));
    front_key("multi-queue-num-queues", "5");
    assert_false(front_type->connect(&front_backend, &why));
    front_key("multi-queue-num-queues", "0");
    assert_false(front_type->connect(&front_backend, &why));
    front_key("multi-queue-num-queues", "1");
    front_key("ring-page-order", "0");
    front_key("ring-ref", NULL);
    assert_false(front_type->connect(&front_backend, &why));
    assert_non_null(strstr(why.text, "ring-ref"));
    front_key("ring-ref", "598");
    assert_false(front_type->connect(&front_backend, &why));
    front_key("ring-ref", "500");
    front_key("event-channel", "77");
    assert_false(front_type->connect(&front_backend, &why));
    front_key("event-channel", "1000");
    assert_false(front_type->connect(&front_backend, &why));
    front_key("event-channel", "1");
    front_key("protocol", "arm-abi");
    assert_false(front_type->connect(&front_backend, &why));
    assert_int_equal(world_mapped, 0);
    assert_true(front_connect(1, 0, false));
    world_work();
    assert_int_equal(ask_rw(BLKIF_OP_READ, 0, 0, 1), BLKIF_RSP_OKAY);
    close_device();
}

static void as_much_as_may_be_is_under_way(void **state)
{
    (void)state;
    open_device("w");
    assert_true(front_connect(1, 4, false));
    world_work();
    vda.late = true;
    union front_request large = indirect(BLKIF_OP_READ, 0, 0, 256);
    for (unsigned i = 0; i < 6; i++)
        front_put(0, &large);
    front_push(0);
    assert_int_equal(vda.waiting, 4);
    assert_int_equal(world_pinned, 1024);
    fake_disk_answer(&vda, 0);
    world_work();
    assert_int_equal(vda.waiting, 4);
    fake_disk_answer_all(&vda);
    assert_int_equal(count_answers(0, BLKIF_RSP_OKAY), 6);
    for (unsigned i = 0; i < 400; i++) {
        union front_request request = rw(BLKIF_OP_READ, i, 0, 0, 1);
        front_put(0, &request);
    }
    front_push(0);
    assert_int_equal(vda.waiting, 256);
    fake_disk_answer_all(&vda);
    assert_int_equal(count_answers(0, BLKIF_RSP_OKAY), 400);
    close_device();
}

static void memory_that_ends_slows_or_fails(void **state)
{
    (void)state;
    vda.late = true;
    world_blocks_left = 2;
    for (unsigned i = 0; i < 4; i++) {
        union front_request request = rw(BLKIF_OP_READ, i, 0, i, 1);
        front_put(0, &request);
    }
    front_push(0);
    assert_int_equal(vda.waiting, 2);
    fake_disk_answer_all(&vda);
    assert_int_equal(count_answers(0, BLKIF_RSP_OKAY), 4);
    front_disconnect();
    world_blocks_left = 0;
    vda.late = false;
    assert_true(front_connect(1, 0, false));
    union front_request request = rw(BLKIF_OP_READ, 9, 0, 0, 1);
    front_put(0, &request);
    front_push(0);
    assert_int_equal(count_answers(0, BLKIF_RSP_ERROR), 1);
    world_work();
}

/* --- ends ----------------------------------------------------------------------------------------------- */

static void finish_late(struct work *work)
{
    (void)work;
    fake_disk_answer_all(&vda);
}

static void a_guest_that_goes_leaves_nothing_behind(void **state)
{
    (void)state;
    vda.late = true;
    for (unsigned i = 0; i < 5; i++) {
        union front_request request = rw(BLKIF_OP_READ, i, 0, i, 1);
        front_put(0, &request);
    }
    front_push(0);
    assert_int_equal(world_pinned, 5);
    struct work late = {.run = finish_late};
    static uint8_t ring[WORLD_PAGE];
    memcpy(ring, front_ring(0), sizeof ring);
    work_later(&late);
    front_disconnect();
    /* It may have another use for its pages already. */
    assert_memory_equal(ring, front_ring(0), sizeof ring);
    assert_int_equal(vda.waiting, 0);
    assert_int_equal(world_pinned, 0);
    assert_int_equal(world_mapped, 0);
    assert_true(front_connect(1, 0, false));
    vda.late = false;
    assert_int_equal(ask_rw(BLKIF_OP_READ, 0, 0, 1), BLKIF_RSP_OKAY);
}

static void size_and_end_of_the_disk_are_told(void **state)
{
    (void)state;
    disk_resized(&vda.disk, 4000);
    assert_string_equal(back_value("sectors"), "4000");
    assert_int_equal(front_state_writes, 1);
    assert_int_equal(ask_rw(BLKIF_OP_READ, 3999, 0, 1), BLKIF_RSP_ERROR);
    disk_remove(&vda.disk);
    assert_true(front_closed);
    assert_int_equal(ask_rw(BLKIF_OP_READ, 0, 0, 1), BLKIF_RSP_ERROR);
    assert_int_equal(ask_rw(BLKIF_OP_FLUSH_DISKCACHE, 0, 0, 0), BLKIF_RSP_ERROR);
}

static void disks_in_memory_are_served(void **state)
{
    (void)state;
    static uint8_t image[64 * 512];
    memset(image, 0x77, sizeof image);
    world_file("disk.img", image, sizeof image);
    back_key("params", "disk.img");
    back_key("mode", "w");
    blkback_init();
    assert_true(front_type->create(&front_backend, &why));
    assert_true(front_connect(1, 0, false));
    world_work();
    for (unsigned i = 0; i < 32; i++) {
        union front_request request = rw(i % 2 ? BLKIF_OP_READ : BLKIF_OP_WRITE, i, i, i + 10, 1);
        front_put(0, &request);
    }
    world_unpin_calls = 0;
    front_push(0);
    assert_int_equal(count_answers(0, BLKIF_RSP_OKAY), 32);
    assert_in_range(world_unpin_calls, 1, 3);
    assert_int_equal(ask_rw(BLKIF_OP_READ, 56, 0, 1), BLKIF_RSP_OKAY);
    assert_memory_equal(world_page[FRONT_DATA], image, 4096);
    assert_int_equal(ask_rw(BLKIF_OP_READ, 0, 0, 1), BLKIF_RSP_OKAY);
    assert_int_equal(world_page[FRONT_DATA][0], (FRONT_DATA + 10) & 0xff);
    close_device();
}

int main(void)
{
#define CONNECTED(test) cmocka_unit_test_setup_teardown(test, begin_connected, end_connected)
#define BARE(test)      cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        BARE(features_are_told),
        CONNECTED(sectors_move_without_copies),
        CONNECTED(a_batch_is_pinned_and_unpinned_at_once),
        CONNECTED(indirect_requests_have_many_segments),
        CONNECTED(a_flush_is_the_disks),
        CONNECTED(nothing_passes_a_barrier),
        CONNECTED(discards_are_checked),
        CONNECTED(wrong_requests_are_answered_with_errors),
        BARE(a_read_only_disk_is_not_written),
        CONNECTED(wild_indexes_end_the_ring),
        BARE(many_rings_and_pages),
        BARE(wrong_rings_are_refused),
        BARE(as_much_as_may_be_is_under_way),
        CONNECTED(memory_that_ends_slows_or_fails),
        CONNECTED(a_guest_that_goes_leaves_nothing_behind),
        CONNECTED(size_and_end_of_the_disk_are_told),
        BARE(disks_in_memory_are_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
