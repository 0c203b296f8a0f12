/* sources: tests/unit/virtio_world.c tests/unit/net_below.c drivers/io/virtio_ring.c drivers/io/virtio_watch.c drivers/io/virtio_blk.c
 * drivers/io/drive.c drivers/io/packet.c lib/printf.c lib/number.c */
/*
 * Virtio disks: what the device is given, what comes of its answers, and what of those that an honest one
 * never gives.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <dom0/below.h>
#include <xen/errno.h>
#include "../../drivers/io/drivers.h"
#include "net_below.h"
#include "virtio_world.h"
#include <cmocka.h>

#define SECOND   1000000000ull
#define FLUSH    (1ull << 9)
#define QUEUES   (1ull << 12)
#define DISCARD  (1ull << 13)
#define SEGMENTS (1ull << 2)
#define ALL      (FLUSH | DISCARD | SEGMENTS | VIRTIO_INDIRECT | VIRTIO_EVENT_INDEX)

static struct pci_function function = {.device_id = VIRTIO_ID_BLOCK};
static uint8_t page[4][4096];
static unsigned queue; /* for ask() */

struct asked {
    struct disk_request request;
    struct disk_segment segment[4];
    unsigned answers;
    int error;
};

static void put32(unsigned offset, uint32_t value)
{
    memcpy(virtio_world.config + offset, &value, sizeof value);
}

static struct disk *found(uint64_t features)
{
    virtio_world_reset(features);
    queue = 0;
    put32(0, 8192);  /* capacity */
    put32(12, 4);    /* segments */
    put32(36, 1024); /* sectors of a discard */
    virtio_world.config[34] = 3;
    assert_true(virtio_blk_driver.probe(&function));
    assert_non_null(virtio_world.disk);
    return virtio_world.disk;
}

static void answered(struct disk_request *request, int error)
{
    struct asked *asked = (struct asked *)request;
    asked->answers++;
    asked->error = error;
}

static void ask(struct asked *asked, enum disk_operation operation, uint64_t sector, unsigned pages)
{
    *asked = (struct asked){.request = {.operation = operation,
                                        .sector = sector,
                                        .sectors = pages * 8,
                                        .segments = asked->segment,
                                        .segment_count = pages,
                                        .queue = queue,
                                        .done = answered}};
    for (unsigned i = 0; i < pages; i++)
        asked->segment[i] = (struct disk_segment){(uint64_t)page[i], page[i], 4096};
    virtio_world.disk->operations->submit(virtio_world.disk, &asked->request);
}

static uint32_t type_of(const struct chain *chain)
{
    uint32_t type;
    memcpy(&type, chain->buffer[0].data, sizeof type);
    return type;
}

static uint64_t sector_of(const struct chain *chain)
{
    uint64_t sector;
    memcpy(&sector, chain->buffer[0].data + 8, sizeof sector);
    return sector;
}

/* The device answers the chain honestly. */
static void finish(unsigned queue, const struct chain *chain, uint8_t status)
{
    uint32_t written = 0;
    for (unsigned i = 0; i < chain->count; i++)
        written += chain->buffer[i].writable ? chain->buffer[i].bytes : 0;
    *chain->buffer[chain->count - 1].data = status;
    virtio_use(queue, chain->head, written);
}

static void finish_all(unsigned queue)
{
    struct chain chain;
    while (virtio_take(queue, &chain)) {
        finish(queue, &chain, 0);
        virtio_interrupt();
    }
}

static void describes_itself(void **state)
{
    (void)state;
    const struct disk *disk = found(ALL);
    assert_string_equal(disk->model, "SERIAL");
    assert_int_equal(disk->sectors, 8192);
    assert_int_equal(disk->max_segments, 4);
    assert_int_equal(disk->max_discard, 1024);
    assert_true(disk->flush && !disk->read_only && disk->queues == 1);
    assert_non_null(strstr(net_world.said, "virtio-blk 00:03.0, 4096 KiB, SERIAL, flush, discard, 1 queue"));
}

static void odd_sectors_are_refused(void **state)
{
    (void)state;
    virtio_world_reset(1ull << 6);
    put32(20, 520);
    assert_false(virtio_blk_driver.probe(&function));
    assert_non_null(strstr(net_world.said, "520 bytes"));
    virtio_world_reset(0);
    virtio_world.refuses = true;
    assert_false(virtio_blk_driver.probe(&function));
    assert_int_equal(virtio_world.closes, 1);
}

static void reads(void **state)
{
    (void)state;
    struct asked asked;
    struct chain chain;
    found(ALL);
    ask(&asked, DISK_READ, 77, 3);
    assert_true(virtio_take(0, &chain));
    assert_int_equal(chain.count, 5);
    assert_int_equal(chain.buffer[0].bytes, 16);
    assert_int_equal(type_of(&chain), 0);
    assert_int_equal(sector_of(&chain), 77);
    for (unsigned i = 0; i < 3; i++) {
        assert_ptr_equal(chain.buffer[1 + i].data, page[i]);
        assert_true(chain.buffer[1 + i].writable);
    }
    assert_int_equal(asked.answers, 0);
    finish(0, &chain, 0);
    virtio_interrupt();
    assert_int_equal(asked.answers, 1);
    assert_int_equal(asked.error, 0);
}

static void errors_have_numbers(void **state)
{
    (void)state;
    static const struct {
        uint8_t status;
        int error;
    } cases[] = {{1, XEN_EIO}, {2, XEN_EOPNOTSUPP}, {0xff, XEN_EIO}, {77, XEN_EIO}};
    found(ALL);
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct asked asked;
        struct chain chain;
        ask(&asked, DISK_WRITE, 8, 1);
        assert_true(virtio_take(0, &chain));
        finish(0, &chain, cases[i].status);
        virtio_interrupt();
        assert_int_equal(asked.answers, 1);
        assert_int_equal(asked.error, cases[i].error);
    }
}

static void forced_writes_end_with_a_flush(void **state)
{
    (void)state;
    struct asked asked;
    struct chain chain;
    found(ALL);
    ask(&asked, DISK_WRITE, 8, 2);
    asked.request.force_unit_access = true;
    assert_true(virtio_take(0, &chain));
    assert_int_equal(type_of(&chain), 1);
    assert_false(chain.buffer[1].writable);
    finish(0, &chain, 0);
    virtio_interrupt();
    assert_int_equal(asked.answers, 0);
    assert_true(virtio_take(0, &chain));
    assert_int_equal(type_of(&chain), 4);
    assert_int_equal(chain.count, 2);
    finish(0, &chain, 0);
    virtio_interrupt();
    assert_int_equal(asked.answers, 1);
}

static void discards(void **state)
{
    (void)state;
    struct asked asked;
    struct chain chain;
    uint64_t sector;
    uint32_t sectors;
    found(ALL);
    ask(&asked, DISK_DISCARD, 64, 0);
    asked.request.sectors = 32;
    assert_true(virtio_take(0, &chain));
    assert_int_equal(type_of(&chain), 11);
    assert_int_equal(chain.buffer[1].bytes, 16);
    memcpy(&sector, chain.buffer[1].data, 8);
    memcpy(&sectors, chain.buffer[1].data + 8, 4);
    assert_int_equal(sector, 64);
    assert_int_equal(sectors, 0);
    finish_all(0);
}

/* More than the ring holds, answered from the last to the first. */
static void many_in_any_order(uint64_t features)
{
    static struct asked asked[300];
    static struct chain chain[300];
    unsigned count = 0, answers = 0;
    found(features);
    for (unsigned i = 0; i < 300; i++)
        ask(&asked[i], DISK_READ, i * 8, 1 + i % 4);
    do {
        for (count = 0; virtio_take(0, &chain[count]); count++)
            ;
        answers += count;
        for (unsigned i = count; i--;)
            finish(0, &chain[i], 0);
        virtio_interrupt();
        virtio_pass(2000000);
    } while (count);
    assert_int_equal(answers, 300);
    for (unsigned i = 0; i < 300; i++)
        assert_true(asked[i].answers == 1 && !asked[i].error);
}

static void more_than_fits_waits(void **state)
{
    (void)state;
    many_in_any_order(ALL);
}

static void plain_rings_do_too(void **state)
{
    (void)state;
    many_in_any_order(FLUSH | SEGMENTS);
}

static void several_queues(void **state)
{
    (void)state;
    struct asked asked[6];
    struct chain chain;
    assert_int_equal(found(ALL | QUEUES)->queues, 3);
    for (queue = 0; queue < 6; queue++)
        ask(&asked[queue], DISK_READ, queue, 1);
    for (unsigned i = 0; i < 6; i++) {
        assert_true(virtio_take(i % 3, &chain));
        assert_int_equal(sector_of(&chain), i);
        finish(i % 3, &chain, 0);
    }
    virtio_interrupt();
    for (unsigned i = 0; i < 6; i++)
        assert_true(asked[i].answers == 1 && !asked[i].error);
}

/* --- devices that lie or fail --------------------------------------------------------------------------- */

static void lie(uint32_t head_xor, uint32_t extra)
{
    struct asked asked[2];
    struct chain chain;
    found(ALL);
    ask(&asked[0], DISK_READ, 0, 1);
    ask(&asked[1], DISK_READ, 8, 1);
    assert_true(virtio_take(0, &chain));
    virtio_use(0, chain.head ^ head_xor, 4097 + extra);
    virtio_interrupt();
    assert_int_equal(asked[0].answers + asked[1].answers, 0);
    assert_int_equal(virtio_world.resets, 1);
    virtio_pass(5000000);
    assert_int_equal(virtio_world.starts, 2);
    finish_all(0);
    assert_true(asked[0].answers == 1 && !asked[0].error && asked[1].answers == 1 && !asked[1].error);
}

static void wild_ids_reset_it(void **state)
{
    (void)state;
    lie(0x80000000, 0);
    lie(0x00010000, 0);
    lie(40, 0); /* a slot that is not in use */
    lie(64, 0); /* the first behind the ring */
}

static void wild_lengths_reset_it(void **state)
{
    (void)state;
    lie(0, 1);
    lie(0, 0x80000000);
}

static void answers_come_once(void **state)
{
    (void)state;
    struct asked asked[2];
    struct chain chain;
    found(ALL);
    ask(&asked[0], DISK_READ, 0, 1);
    ask(&asked[1], DISK_READ, 0, 1);
    assert_true(virtio_take(0, &chain));
    finish(0, &chain, 0);
    finish(0, &chain, 0);
    virtio_interrupt();
    assert_int_equal(asked[0].answers, 1);
    assert_int_equal(asked[1].answers, 0);
    assert_int_equal(virtio_world.resets, 1);
}

static void a_wild_index_resets_it(void **state)
{
    (void)state;
    struct asked asked;
    found(ALL);
    ask(&asked, DISK_READ, 0, 1);
    virtio_world.ring[0]->used->index += 2;
    virtio_interrupt();
    assert_int_equal(asked.answers, 0);
    assert_int_equal(virtio_world.resets, 1);
}

static void late_answers_reset_it(void **state)
{
    (void)state;
    struct asked asked;
    struct chain chain;
    found(ALL);
    ask(&asked, DISK_WRITE, 0, 1);
    virtio_pass(8 * SECOND);
    assert_int_equal(virtio_world.resets, 0);
    virtio_pass(4 * SECOND);
    assert_int_equal(virtio_world.resets, 1);
    assert_int_equal(asked.answers, 0);
    /* It has it again. */
    assert_true(virtio_take(0, &chain));
    assert_int_equal(type_of(&chain), 1);
    virtio_pass(30 * SECOND);
    assert_int_equal(virtio_world.resets, 3);
    assert_int_equal(asked.answers, 1);
    assert_int_equal(asked.error, XEN_ETIMEDOUT);
    ask(&asked, DISK_READ, 0, 1);
    finish_all(0);
    assert_int_equal(asked.error, 0);
    assert_false(virtio_world.disk->removed);
}

static void one_without_reset_is_given_up(void **state)
{
    (void)state;
    struct asked asked, later;
    found(ALL);
    virtio_world.stuck = true;
    ask(&asked, DISK_WRITE, 0, 1);
    virtio_pass(12 * SECOND);
    assert_int_equal(asked.answers, 0);
    assert_int_equal(virtio_world.closes, 0);
    virtio_pass(2 * SECOND);
    assert_int_equal(virtio_world.closes, 1);
    assert_int_equal(asked.answers, 1);
    assert_int_equal(asked.error, XEN_EIO);
    assert_int_equal(virtio_world.removed, 1);
    ask(&later, DISK_READ, 0, 1);
    assert_true(later.answers == 1 && later.error == XEN_EIO);
}

static void one_that_does_not_start_again_is_given_up(void **state)
{
    (void)state;
    struct asked asked;
    found(ALL);
    ask(&asked, DISK_WRITE, 0, 1);
    virtio_world.broken = true;
    virtio_world.offered &= ~FLUSH;
    virtio_pass(3 * SECOND);
    assert_int_equal(virtio_world.closes, 1);
    assert_true(asked.answers == 1 && asked.error == XEN_EIO);
}

static void requests_wait_for_the_end_of_a_reset(void **state)
{
    (void)state;
    struct asked asked[2];
    found(ALL);
    ask(&asked[0], DISK_READ, 0, 1);
    virtio_world.stuck = true;
    virtio_fail(virtio_world.driver, "test");
    ask(&asked[1], DISK_READ, 8, 1);
    virtio_pass(SECOND);
    assert_int_equal(asked[0].answers + asked[1].answers, 0);
    virtio_world.stuck = false;
    virtio_reset_begin(virtio_world.driver);
    virtio_pass(SECOND);
    finish_all(0);
    assert_true(asked[0].answers == 1 && asked[1].answers == 1);
}

static void it_grows(void **state)
{
    (void)state;
    found(ALL);
    put32(0, 16384);
    virtio_config_interrupt();
    assert_int_equal(virtio_world.resized, 1);
    assert_int_equal(virtio_world.disk->sectors, 16384);
}

static void doorbells_are_rung_when_wanted(void **state)
{
    (void)state;
    static const uint64_t features[] = {ALL, ALL & ~VIRTIO_EVENT_INDEX};
    for (unsigned i = 0; i < 2; i++) {
        struct asked asked[3];
        found(features[i]);
        struct virtio_ring *ring = virtio_world.ring[0];
        uint16_t bell = 0;
        ring->notify = &bell;
        ring->notify_value = 1;
        ask(&asked[0], DISK_READ, 0, 1);
        assert_int_equal(bell, 1);
        bell = 0;
        /* It has not looked yet, and says in its way that it will. */
        ring->used->flags = 1;
        ask(&asked[1], DISK_READ, 0, 1);
        assert_int_equal(bell, 0);
        ring->used->flags = 0;
        finish_all(0);
        ask(&asked[2], DISK_READ, 0, 1);
        assert_int_equal(bell, 1);
        finish_all(0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(describes_itself),
        cmocka_unit_test(odd_sectors_are_refused),
        cmocka_unit_test(reads),
        cmocka_unit_test(errors_have_numbers),
        cmocka_unit_test(forced_writes_end_with_a_flush),
        cmocka_unit_test(discards),
        cmocka_unit_test(more_than_fits_waits),
        cmocka_unit_test(plain_rings_do_too),
        cmocka_unit_test(several_queues),
        cmocka_unit_test(wild_ids_reset_it),
        cmocka_unit_test(wild_lengths_reset_it),
        cmocka_unit_test(answers_come_once),
        cmocka_unit_test(a_wild_index_resets_it),
        cmocka_unit_test(late_answers_reset_it),
        cmocka_unit_test(one_without_reset_is_given_up),
        cmocka_unit_test(one_that_does_not_start_again_is_given_up),
        cmocka_unit_test(requests_wait_for_the_end_of_a_reset),
        cmocka_unit_test(it_grows),
        cmocka_unit_test(doorbells_are_rung_when_wanted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
