/* sources: tests/unit/block_world.c drivers/io/disk.c drivers/io/disk_submit.c drivers/io/ramdisk.c drivers/io/partition.c
 * drivers/io/gpt.c drivers/io/mbr.c lib/why.c */
/* Which disks there are, who may have them, and what of a request reaches the driver; disks in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <lib/why.h>
#include <cmocka.h>
#include <xen/errno.h>
#include "block_world.h"

static struct fake_disk vda, vdb;
static struct why why;

static int begin(void **state)
{
    (void)state;
    world_reset();
    fake_disk_init(&vda, "vda", 2048);
    fake_disk_init(&vdb, "vdb", 2048);
    memset(vda.bytes, 0, 512);
    memset(vdb.bytes, 0, 512);
    return 0;
}

static int end(void **state)
{
    (void)state;
    if (disk_at(0) == &vda.disk)
        disk_remove(&vda.disk);
    if (disk_at(0) == &vdb.disk)
        disk_remove(&vdb.disk);
    assert_null(disk_at(0));
    fake_disk_free(&vda);
    fake_disk_free(&vdb);
    assert_int_equal(world_blocks, 0);
    assert_int_equal(world_pages, 0);
    return 0;
}

/* --- the registry --------------------------------------------------------------------------------------- */

static struct disk *told;
static unsigned told_count;

static void note(struct disk_listener *listener, struct disk *disk)
{
    (void)listener;
    told = disk;
    told_count++;
}

static void names_are_unique_and_changes_are_told(void **state)
{
    (void)state;
    struct disk_listener listener = {.changed = note};
    disk_listen(&listener);
    assert_true(disk_add(&vda.disk));
    assert_ptr_equal(told, &vda.disk);
    assert_true(disk_add(&vdb.disk));
    struct fake_disk again;
    fake_disk_init(&again, "vda", 8);
    assert_false(disk_add(&again.disk));
    fake_disk_free(&again);
    assert_ptr_equal(disk_at(0), &vda.disk);
    assert_ptr_equal(disk_at(1), &vdb.disk);
    assert_null(disk_at(2));
    told_count = 0;
    disk_resized(&vda.disk, 2048);
    assert_int_equal(told_count, 0);
    disk_resized(&vda.disk, 2047);
    assert_ptr_equal(told, &vda.disk);
    disk_remove(&vdb.disk);
    assert_ptr_equal(told, &vdb.disk);
    assert_true(vdb.disk.removed);
    assert_int_equal(told_count, 2);
    disk_unlisten(&listener);
    disk_resized(&vda.disk, 2048);
    assert_int_equal(told_count, 2);
}

static void one_writer_or_many_readers(void **state)
{
    (void)state;
    assert_true(disk_add(&vda.disk));
    struct disk *reader = disk_open("/dev/vda", false, &why), *other = disk_open("vda", false, &why);
    assert_ptr_equal(reader, &vda.disk);
    assert_ptr_equal(other, &vda.disk);
    assert_null(disk_open("vda", true, &why));
    assert_non_null(strstr(why.text, "in use"));
    disk_close(reader, false);
    assert_int_equal(vda.closed, 0);
    disk_close(other, false);
    assert_int_equal(vda.closed, 1);
    struct disk *writer = disk_open("vda", true, &why);
    assert_non_null(writer);
    assert_null(disk_open("vda", false, &why));
    assert_null(disk_open("vda", true, &why));
    disk_close(writer, true);
    vda.disk.read_only = true;
    assert_null(disk_open("vda", true, &why));
    assert_non_null(strstr(why.text, "read-only"));
    assert_null(disk_open("/dev/sda", false, &why));
    assert_string_equal(why.text, "/dev/sda is no disk; disk-list shows the disks");
}

/* A disk with one partition at sector 64, as a master boot record says. */
static void make_mbr(struct fake_disk *fake, uint32_t first, uint32_t count)
{
    uint8_t *mbr = fake->bytes, *entry = mbr + 446;
    entry[4] = 0x83;
    memcpy(entry + 8, &first, 4);
    memcpy(entry + 12, &count, 4);
    memcpy(mbr + 440, "\x78\x56\x34\x12", 4);
    mbr[510] = 0x55;
    mbr[511] = 0xaa;
}

static void a_partition_and_its_disk_count_as_one(void **state)
{
    (void)state;
    make_mbr(&vda, 64, 1000);
    assert_true(disk_add(&vda.disk));
    assert_true(disk_add(&vdb.disk));
    assert_string_equal(disk_at(1)->name, "vda1");
    assert_ptr_equal(disk_at(2), &vdb.disk);
    struct disk *part = disk_open("PARTUUID=12345678-01", true, &why);
    assert_ptr_equal(part, disk_at(1));
    assert_null(disk_open("vda", false, &why));
    disk_close(part, true);
    struct disk *whole = disk_open("vda", false, &why);
    assert_non_null(whole);
    assert_null(disk_open("vda1", true, &why));
    assert_non_null(strstr(why.text, "vda1 is in use: vda is open for reading"));
    part = disk_open("vda1", false, &why);
    assert_non_null(part);
    disk_close(whole, false);
    assert_null(disk_open("vda", true, &why));

    /* The disk goes while its partition is open. */
    disk_remove(&vda.disk);
    assert_ptr_equal(disk_at(0), &vdb.disk);
    assert_true(part->removed);
    vda.closed = 0;
    disk_close(part, false);
    assert_int_equal(vda.closed, 1);
}

static void two_partitions_of_one_uuid_are_refused(void **state)
{
    (void)state;
    make_mbr(&vda, 64, 1000);
    make_mbr(&vdb, 64, 1000);
    assert_true(disk_add(&vda.disk));
    assert_true(disk_add(&vdb.disk));
    assert_null(disk_open("PARTUUID=12345678-01", false, &why));
    assert_non_null(strstr(why.text, "both vda1 and vdb1"));
    assert_null(disk_open("/dev/disk/by-partuuid/abc", false, &why));
    assert_non_null(strstr(why.text, "no partition has PARTUUID=abc"));
}

/* --- requests ------------------------------------------------------------------------------------------- */

static uint8_t buffer[16][WORLD_PAGE] __attribute__((aligned(WORLD_PAGE)));
static struct disk_segment segments[16];
static struct disk_request request;
static int result;

static void done(struct disk_request *r, int error)
{
    assert_ptr_equal(r, &request);
    result = error;
}

static int submit(struct disk *disk, enum disk_operation operation, uint64_t sector, unsigned count,
                  uint32_t bytes)
{
    for (unsigned i = 0; i < count; i++)
        segments[i] = (struct disk_segment){(uint64_t)buffer[i], buffer[i], bytes};
    request = (struct disk_request){.operation = operation,
                                    .sector = sector,
                                    .sectors = (uint64_t)count * bytes / DISK_SECTOR,
                                    .segments = segments,
                                    .segment_count = count,
                                    .done = done};
    result = -1;
    disk_submit(disk, &request);
    return result;
}

static int submit_bare(struct disk *disk, enum disk_operation operation, uint64_t sector, uint64_t sectors)
{
    request =
        (struct disk_request){.operation = operation, .sector = sector, .sectors = sectors, .done = done};
    result = -1;
    disk_submit(disk, &request);
    return result;
}

static void wrong_requests_do_not_reach_the_driver(void **state)
{
    (void)state;
    assert_int_equal(submit(&vda.disk, DISK_READ, 2048, 1, 512), XEN_EINVAL);
    assert_int_equal(submit(&vda.disk, DISK_READ, 2047, 1, 1024), XEN_EINVAL);
    assert_int_equal(submit(&vda.disk, DISK_READ, UINT64_MAX, 1, 1024), XEN_EINVAL);
    assert_int_equal(submit_bare(&vda.disk, DISK_DISCARD, 1, UINT64_MAX), XEN_EINVAL);
    assert_int_equal(submit_bare(&vda.disk, DISK_READ, 1, 0), XEN_EINVAL);
    vda.disk.read_only = true;
    assert_int_equal(submit(&vda.disk, DISK_WRITE, 0, 1, 512), XEN_EROFS);
    assert_int_equal(submit_bare(&vda.disk, DISK_DISCARD, 0, 8), XEN_EROFS);
    vda.disk.read_only = false;
    vda.disk.discard_granularity = 0;
    assert_int_equal(submit_bare(&vda.disk, DISK_DISCARD, 0, 8), XEN_EOPNOTSUPP);
    vda.disk.sector_size = 4096;
    assert_int_equal(submit(&vda.disk, DISK_READ, 4, 1, 4096), XEN_EINVAL);
    assert_int_equal(submit(&vda.disk, DISK_READ, 8, 1, 512), XEN_EINVAL);
    vda.disk.flush = false;
    assert_int_equal(submit_bare(&vda.disk, DISK_FLUSH, 0, 0), 0);
    vda.disk.removed = true;
    assert_int_equal(submit(&vda.disk, DISK_READ, 8, 1, 4096), XEN_EIO);
    assert_int_equal(vda.submitted, 0);
}

static void large_requests_come_in_pieces(void **state)
{
    (void)state;
    vda.disk.max_segments = 3;
    assert_int_equal(submit(&vda.disk, DISK_READ, 16, 8, 4096), 0);
    assert_int_equal(vda.submitted, 3);
    for (unsigned i = 0; i < 8; i++)
        assert_memory_equal(buffer[i], vda.bytes + 16 * 512 + i * 4096, 4096);
    assert_int_equal(request.segment_count, 8);
    assert_ptr_equal(request.segments, segments);
    assert_int_equal(request.sectors, 64);

    vda.disk.max_segments = 64;
    vda.disk.max_bytes = 8192 + 512;
    for (unsigned i = 0; i < 8; i++)
        memset(buffer[i], (int)i + 1, 4096);
    vda.submitted = 0;
    assert_int_equal(submit(&vda.disk, DISK_WRITE, 80, 5, 4096), 0);
    assert_int_equal(vda.submitted, 3);
    for (unsigned i = 0; i < 5; i++)
        assert_memory_equal(vda.bytes + 80 * 512 + i * 4096, buffer[i], 4096);

    vda.disk.max_discard = 100;
    vda.submitted = 0;
    assert_int_equal(submit_bare(&vda.disk, DISK_DISCARD, 7, 250), 0);
    assert_int_equal(vda.submitted, 3);
    assert_int_equal(vda.last_sector, 207);
    assert_int_equal(vda.last_sectors, 50);
}

static void pieces_end_with_a_sector_of_the_disk(void **state)
{
    (void)state;
    vda.disk.sector_size = 4096;
    vda.disk.max_segments = 11;
    /* 16 segments of 512 bytes: two sectors of the disk, one at a time. */
    assert_int_equal(submit(&vda.disk, DISK_READ, 8, 16, 512), 0);
    assert_int_equal(vda.submitted, 2);
    vda.disk.max_segments = 7;
    assert_int_equal(submit(&vda.disk, DISK_READ, 8, 16, 512), XEN_EINVAL);
    assert_int_equal(vda.submitted, 2);
}

static void an_error_or_the_end_of_the_disk_ends_the_pieces(void **state)
{
    (void)state;
    vda.disk.max_segments = 1;
    vda.late = true;
    assert_int_equal(submit(&vda.disk, DISK_READ, 0, 4, 4096), -1);
    fake_disk_answer(&vda, 0);
    assert_int_equal(result, -1);
    fake_disk_answer(&vda, XEN_EIO);
    assert_int_equal(result, XEN_EIO);
    assert_int_equal(vda.submitted, 2);
    assert_int_equal(submit(&vda.disk, DISK_READ, 0, 4, 4096), -1);
    vda.disk.removed = true;
    fake_disk_answer(&vda, 0);
    assert_int_equal(result, XEN_EIO);
}

static void dom0_reads_any_bytes(void **state)
{
    (void)state;
    static uint8_t bytes[10000];
    vda.disk.sector_size = 4096;
    assert_int_equal(disk_read_wait(&vda.disk, 3, bytes, sizeof bytes), 0);
    assert_memory_equal(bytes, vda.bytes + 3 * 512, sizeof bytes);
    assert_int_equal(disk_read_wait(&vda.disk, 2047, bytes, 512), 0);
    assert_memory_equal(bytes, vda.bytes + 2047 * 512, 512);
    assert_int_equal(disk_read_wait(&vda.disk, 2047, bytes, 513), XEN_EINVAL);
    assert_int_equal(disk_read_wait(&vda.disk, 4000, bytes, 512), XEN_EINVAL);
    vda.error = XEN_EIO;
    assert_int_equal(disk_read_wait(&vda.disk, 3, bytes, sizeof bytes), XEN_EIO);
}

static void a_partition_reaches_its_own_sectors_only(void **state)
{
    (void)state;
    make_mbr(&vda, 64, 1000);
    assert_true(disk_add(&vda.disk));
    struct disk *part = disk_at(1);
    assert_int_equal(part->sectors, 1000);
    vda.disk.max_segments = part->max_segments = 2;
    assert_int_equal(submit(part, DISK_READ, 16, 3, 4096), 0);
    assert_memory_equal(buffer[0], vda.bytes + 80 * 512, 4096);
    assert_memory_equal(buffer[2], vda.bytes + 96 * 512, 4096);
    assert_int_equal(submit(part, DISK_WRITE, 1000, 1, 512), XEN_EINVAL);
    assert_int_equal(submit(part, DISK_WRITE, 993, 1, 4096), XEN_EINVAL);
    assert_int_equal(submit_bare(part, DISK_FLUSH, 0, 0), 0);
    assert_int_equal(vda.flushed, 1);
}

/* --- disks in memory ------------------------------------------------------------------------------------ */

static uint8_t image[10000];

static void guests_write_over_one_file(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof image; i++)
        image[i] = (uint8_t)(i * 7);
    world_file("root.img", image, sizeof image);
    struct disk *a = disk_open("root.img", true, &why), *b = disk_open("root.img", true, &why);
    struct disk *c = disk_open("root.img", false, &why);
    assert_non_null(a);
    assert_non_null(b);
    assert_non_null(c);
    assert_null(disk_at(0));
    assert_int_equal(a->sectors, 20);
    memset(buffer[0], 0xaa, 512);
    assert_int_equal(submit(a, DISK_WRITE, 9, 1, 512), 0);
    assert_int_equal(submit(c, DISK_WRITE, 9, 1, 512), XEN_EROFS);
    assert_int_equal(submit(a, DISK_READ, 8, 1, 1536), 0);
    assert_memory_equal(buffer[0], image + 8 * 512, 512);
    assert_int_equal(buffer[0][512], 0xaa);
    assert_memory_equal(buffer[0] + 1024, image + 10 * 512, 512);
    assert_int_equal(submit(b, DISK_READ, 8, 1, 4096), 0);
    assert_memory_equal(buffer[0], image + 8 * 512, 4096);
    /* The last sector is filled up. */
    assert_int_equal(submit(c, DISK_READ, 19, 1, 512), 0);
    assert_memory_equal(buffer[0], image + 19 * 512, sizeof image - 19 * 512);
    assert_int_equal(buffer[0][511], 0);
    disk_close(a, true);
    disk_close(b, true);
    disk_close(c, false);
}

static void memory_that_ends_is_no_space(void **state)
{
    (void)state;
    assert_int_equal(ramdisk_create("ram0", 1 << 20, NULL), 0);
    struct disk *ram = disk_open("ram0", true, &why);
    memset(buffer, 0x11, sizeof buffer);
    assert_int_equal(submit(ram, DISK_WRITE, 1, 16, 4096), 0);
    long used = world_pages;
    world_free_pages = 129;
    assert_int_equal(submit(ram, DISK_WRITE, 512, 4, 4096), XEN_ENOSPC);
    /* What was written before can be written anew, and discarding makes room. */
    assert_int_equal(submit(ram, DISK_WRITE, 1, 8, 4096), 0);
    assert_int_equal(submit_bare(ram, DISK_DISCARD, 0, ram->sectors), 0);
    assert_in_range(world_pages, 1, used - 16);
    assert_int_equal(submit(ram, DISK_READ, 8, 1, 4096), 0);
    assert_int_equal(buffer[0][0], 0);
    assert_int_equal(ramdisk_destroy("ram0"), XEN_EBUSY);
    disk_close(ram, true);
    assert_int_equal(ramdisk_destroy("ram0"), 0);
    assert_int_equal(ramdisk_destroy("ram0"), XEN_ENOENT);
    world_free_pages = 1024;
}

static void a_discard_takes_whole_pages_only(void **state)
{
    (void)state;
    assert_int_equal(ramdisk_create("ram0", 1 << 20, NULL), 0);
    struct disk *ram = disk_open("ram0", true, &why);
    memset(buffer, 0x22, sizeof buffer);
    assert_int_equal(submit(ram, DISK_WRITE, 0, 4, 4096), 0);
    assert_int_equal(submit_bare(ram, DISK_DISCARD, 4, 20), 0);
    assert_int_equal(submit(ram, DISK_READ, 0, 4, 4096), 0);
    assert_int_equal(buffer[0][4095], 0x22);
    assert_int_equal(buffer[1][0], 0);
    assert_int_equal(buffer[2][4095], 0);
    assert_int_equal(buffer[3][0], 0x22);
    disk_close(ram, true);
    assert_int_equal(ramdisk_destroy("ram0"), 0);
}

static void wrong_memory_disks_are_refused(void **state)
{
    (void)state;
    world_file("root.img", image, sizeof image);
    assert_int_equal(ramdisk_create("ram0", 0, NULL), XEN_EINVAL);
    assert_int_equal(ramdisk_create("ram0", 1000, NULL), XEN_EINVAL);
    assert_int_equal(ramdisk_create("ram0", 512, "root.img"), XEN_EINVAL);
    assert_int_equal(ramdisk_create("ram0", 512, "none"), XEN_ENOENT);
    assert_int_equal(ramdisk_create("ram0", 1ull << 62, NULL), XEN_ENOMEM);
    assert_int_equal(ramdisk_create("ram0", 0, "root.img"), 0);
    assert_int_equal(ramdisk_create("ram0", 512, NULL), XEN_EEXIST);
    assert_int_equal(disk_at(0)->sectors, 20);
    assert_int_equal(ramdisk_destroy("ram0"), 0);
    world_blocks_left = 0;
    assert_null(disk_open("root.img", true, &why));
    assert_non_null(strstr(why.text, "dom0_mem"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(names_are_unique_and_changes_are_told, begin, end),
        cmocka_unit_test_setup_teardown(one_writer_or_many_readers, begin, end),
        cmocka_unit_test_setup_teardown(a_partition_and_its_disk_count_as_one, begin, end),
        cmocka_unit_test_setup_teardown(two_partitions_of_one_uuid_are_refused, begin, end),
        cmocka_unit_test_setup_teardown(wrong_requests_do_not_reach_the_driver, begin, end),
        cmocka_unit_test_setup_teardown(large_requests_come_in_pieces, begin, end),
        cmocka_unit_test_setup_teardown(pieces_end_with_a_sector_of_the_disk, begin, end),
        cmocka_unit_test_setup_teardown(an_error_or_the_end_of_the_disk_ends_the_pieces, begin, end),
        cmocka_unit_test_setup_teardown(dom0_reads_any_bytes, begin, end),
        cmocka_unit_test_setup_teardown(a_partition_reaches_its_own_sectors_only, begin, end),
        cmocka_unit_test_setup_teardown(guests_write_over_one_file, begin, end),
        cmocka_unit_test_setup_teardown(memory_that_ends_is_no_space, begin, end),
        cmocka_unit_test_setup_teardown(a_discard_takes_whole_pages_only, begin, end),
        cmocka_unit_test_setup_teardown(wrong_memory_disks_are_refused, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
