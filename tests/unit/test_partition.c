/* sources: tests/unit/block_world.c tests/unit/gpt_image.c drivers/io/disk.c drivers/io/disk_submit.c drivers/io/ramdisk.c
 * drivers/io/partition.c drivers/io/gpt.c drivers/io/mbr.c lib/why.c */
/* Partition tables, right ones and such that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <xen/errno.h>
#include "block_world.h"
#include "gpt_image.h"

#define SECTORS 2048

static struct fake_disk disk;
static struct gpt_image image;

static int begin(void **state)
{
    (void)state;
    world_reset();
    fake_disk_init(&disk, "nvme0n1", SECTORS);
    memset(disk.bytes, 0, SECTORS * 512);
    image = (struct gpt_image){disk.bytes, SECTORS, 512, 128, 128};
    gpt_make(&image);
    return 0;
}

static int end(void **state)
{
    (void)state;
    disk_remove(&disk.disk);
    fake_disk_free(&disk);
    assert_int_equal(world_blocks, 0);
    assert_int_equal(world_pages, 0);
    return 0;
}

static void expect(size_t index, const char *name, uint64_t sectors)
{
    const struct disk *part = disk_at(index);
    assert_non_null(part);
    assert_string_equal(part->name, name);
    assert_int_equal(part->sectors, sectors);
}

static void partitions_have_names_and_numbers(void **state)
{
    (void)state;
    gpt_set(&image, 0, 64, 127, "root");
    gpt_set(&image, 2, 128, 128, "bo\x1bot \xff disk with 36 characters or so");
    assert_true(disk_add(&disk.disk));
    expect(1, "nvme0n1p1", 64);
    expect(2, "nvme0n1p3", 1);
    assert_null(disk_at(3));
    assert_string_equal(disk_at(1)->partition_label, "root");
    assert_string_equal(disk_at(1)->partition_uuid, "03020100-0504-0706-0809-0a0b0c0d0e0f");
    assert_string_equal(disk_at(2)->partition_label, "bo_ot _ disk with 36 characters or s");
    assert_string_equal(world_said, "");
}

static void sectors_of_4096_bytes(void **state)
{
    (void)state;
    memset(disk.bytes, 0, SECTORS * 512);
    image = (struct gpt_image){disk.bytes, SECTORS / 8, 4096, 256, 20};
    disk.disk.sector_size = 4096;
    gpt_make(&image);
    gpt_set(&image, 19, 10, 19, "data");
    assert_true(disk_add(&disk.disk));
    expect(1, "nvme0n1p20", 80);
    assert_null(disk_at(2));
}

static void the_copy_is_used_when_the_table_is_damaged(void **state)
{
    (void)state;
    gpt_set(&image, 0, 64, 127, "root");
    gpt_entries(&image, 0)[40]++;
    assert_true(disk_add(&disk.disk));
    expect(1, "nvme0n1p1", 64);
    assert_non_null(strstr(world_said, "the copy at its end is used"));
    disk_remove(&disk.disk);
    disk.disk.removed = false;
    gpt_header(&image, 1)[41]++;
    world_said[0] = '\0';
    assert_true(disk_add(&disk.disk));
    assert_null(disk_at(1));
    assert_non_null(strstr(world_said, "are damaged"));
}

static void a_table_without_its_record_is_old(void **state)
{
    (void)state;
    gpt_set(&image, 0, 64, 127, "root");
    disk.bytes[446 + 4] = 0;
    assert_true(disk_add(&disk.disk));
    assert_null(disk_at(1));
}

static void partitions_that_lie_are_left_out(void **state)
{
    (void)state;
    gpt_set(&image, 0, 100, 199, "right");
    gpt_set(&image, 1, 199, 300, "overlaps");
    gpt_set(&image, 2, 50, 400, "overlaps, too");
    gpt_set(&image, 3, 33, 40, "over the table");
    gpt_set(&image, 4, 2000, 2047, "over the copy");
    gpt_set(&image, 5, 3000, 4000, "beyond the end");
    gpt_set(&image, 6, 500, 499, "ends before it begins");
    gpt_set(&image, 7, 1, UINT64_MAX, "all and more");
    gpt_set(&image, 8, 0, 10, "over the headers");
    gpt_set(&image, 9, 200, 299, "right");
    assert_true(disk_add(&disk.disk));
    expect(1, "nvme0n1p1", 100);
    expect(2, "nvme0n1p10", 100);
    assert_null(disk_at(3));
    assert_non_null(strstr(world_said, "partition 2 overlaps another"));
}

static void put32(uint8_t *at, uint32_t value)
{
    memcpy(at, &value, 4);
}

static void headers_that_lie_are_damaged(void **state)
{
    (void)state;
    static const struct {
        unsigned offset;
        uint32_t value;
    } lies[] = {
        {12, 91},   {12, 513},        {12, UINT32_MAX}, {24, 2},          {40, 1},
        {40, 30},   {48, 2047},       {48, UINT32_MAX}, {72, 1},          {72, 40},
        {72, 2047}, {76, UINT32_MAX}, {80, 0},          {80, UINT32_MAX}, {80, 1 << 13},
        {84, 0},    {84, 127},        {84, 132},        {84, 1 << 31},    {84, UINT32_MAX},
    };
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        memset(disk.bytes, 0, SECTORS * 512);
        gpt_make(&image);
        gpt_set(&image, 0, 64, 127, "root");
        for (int backup = 0; backup < 2; backup++) {
            put32(gpt_header(&image, backup) + lies[i].offset, lies[i].value);
            gpt_checksums(&image, backup);
        }
        assert_true(disk_add(&disk.disk));
        assert_null(disk_at(1));
        assert_non_null(strstr(world_said, "damaged"));
        world_said[0] = '\0';
        disk_remove(&disk.disk);
        disk.disk.removed = false;
    }
}

static void memory_and_disk_may_fail(void **state)
{
    (void)state;
    gpt_set(&image, 0, 64, 127, "root");
    gpt_set(&image, 1, 128, 129, "next");
    for (long blocks = 0; blocks < 3; blocks++) {
        world_blocks_left = blocks;
        disk_add(&disk.disk);
        disk_remove(&disk.disk);
        disk.disk.removed = false;
    }
    world_blocks_left = -1;
    disk.error = XEN_EIO;
    assert_true(disk_add(&disk.disk));
    assert_null(disk_at(1));
}

/* --- master boot records -------------------------------------------------------------------------------- */

static void set_mbr(uint64_t sector, unsigned index, uint8_t type, uint32_t first, uint32_t count)
{
    uint8_t *mbr = disk.bytes + sector * 512, *entry = mbr + 446 + 16 * index;
    entry[4] = type;
    put32(entry + 8, first);
    put32(entry + 12, count);
    mbr[510] = 0x55;
    mbr[511] = 0xaa;
}

static int begin_mbr(void **state)
{
    begin(state);
    memset(disk.bytes, 0, SECTORS * 512);
    put32(disk.bytes + 440, 0xdeadbeef);
    return 0;
}

static void primary_and_logical_partitions(void **state)
{
    (void)state;
    set_mbr(0, 0, 0x83, 10, 100);
    set_mbr(0, 2, 0x05, 200, 500);
    set_mbr(200, 0, 0x83, 10, 90);
    set_mbr(200, 1, 0x05, 100, 100);
    set_mbr(300, 0, 0x82, 1, 99);
    assert_true(disk_add(&disk.disk));
    expect(1, "nvme0n1p1", 100);
    expect(2, "nvme0n1p5", 90);
    expect(3, "nvme0n1p6", 99);
    assert_null(disk_at(4));
    assert_string_equal(disk_at(1)->partition_uuid, "deadbeef-01");
    assert_string_equal(disk_at(3)->partition_uuid, "deadbeef-06");
}

static void records_that_lie(void **state)
{
    (void)state;
    set_mbr(0, 0, 0x83, 0, 100);
    set_mbr(0, 1, 0x83, 2000, 49);
    set_mbr(0, 2, 0x83, UINT32_MAX, UINT32_MAX);
    set_mbr(0, 3, 0x05, 200, 500);
    /* A logical partition that leaves its extended one, one over its own table, and a chain without end. */
    set_mbr(200, 0, 0x83, 10, 491);
    set_mbr(200, 1, 0x05, 100, 100);
    set_mbr(300, 0, 0x83, 0, 10);
    set_mbr(300, 1, 0x05, 100, 100);
    assert_true(disk_add(&disk.disk));
    assert_null(disk_at(1));
}

static void a_file_systems_boot_sector_is_no_table(void **state)
{
    (void)state;
    set_mbr(0, 0, 0x83, 10, 100);
    disk.bytes[446] = 0x20;
    assert_true(disk_add(&disk.disk));
    assert_null(disk_at(1));
}

int main(void)
{
#define GPT(test) cmocka_unit_test_setup_teardown(test, begin, end)
#define MBR(test) cmocka_unit_test_setup_teardown(test, begin_mbr, end)
    const struct CMUnitTest tests[] = {
        GPT(partitions_have_names_and_numbers),
        GPT(sectors_of_4096_bytes),
        GPT(the_copy_is_used_when_the_table_is_damaged),
        GPT(a_table_without_its_record_is_old),
        GPT(partitions_that_lie_are_left_out),
        GPT(headers_that_lie_are_damaged),
        GPT(memory_and_disk_may_fail),
        MBR(primary_and_logical_partitions),
        MBR(records_that_lie),
        MBR(a_file_systems_boot_sector_is_no_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
