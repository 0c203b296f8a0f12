/* sources: tests/unit/block_world.c tests/unit/gpt_image.c drivers/io/disk.c drivers/io/disk_submit.c drivers/io/ramdisk.c
 * drivers/io/partition.c drivers/io/gpt.c drivers/io/mbr.c lib/why.c */
/*
 * Partition tables with any bytes changed, mostly with the right checksums. Whatever they say: each partition
 * lies within the disk behind its first sector, no two overlap, and when the disk goes nothing is left.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "../unit/block_world.h"
#include "../unit/gpt_image.h"

#define SECTORS 512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Where the partition begins is seen from where its first sector is read. */
static uint64_t first_sector(struct fake_disk *fake, struct disk *part)
{
    uint8_t sector[512];
    assert(!disk_read_wait(part, 0, sector, sizeof sector));
    return fake->last_sector;
}

static void check_partitions(struct fake_disk *fake)
{
    static bool taken[SECTORS];
    memset(taken, 0, sizeof taken);
    for (size_t i = 1; disk_at(i); i++) {
        uint64_t first = first_sector(fake, disk_at(i));
        assert(first > 0 && disk_at(i)->sectors && disk_at(i)->parent == disk_at(0));
        for (uint64_t s = 0; s < disk_at(i)->sectors; s++) {
            assert(first + s < SECTORS && !taken[first + s]);
            taken[first + s] = true;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fake_disk fake;
    if (size < 4)
        return 0;
    world_reset();
    fake_disk_init(&fake, "sda", SECTORS);
    memset(fake.bytes, 0, SECTORS * 512);
    struct gpt_image image = {fake.bytes, SECTORS, 512, 128, 6u + data[0] % 30u};
    gpt_make(&image);
    bool mbr = data[0] & 0x80;
    unsigned checksums = data[1] & 3;
    if (mbr)
        memset(fake.bytes + 446, 0, 64);
    for (unsigned i = 0; i < 6; i++)
        gpt_put(&image, i, 60 + 60 * i, 60 + 60 * i + data[2] % 80u, "part");
    /* Changes: which table, where, what. */
    for (size_t at = 3; at + 4 <= size && at < 200; at += 4) {
        unsigned where = data[at + 1] | data[at + 2] << 8;
        uint8_t *bytes = mbr || data[at] % 8 == 0
                             ? fake.bytes + (data[at] / 8 % 4) * 60 * 512 + 440 + where % 72
                         : data[at] % 2 ? gpt_header(&image, data[at] >> 7) + where % 92
                                        : gpt_entries(&image, data[at] >> 7) + where % (128 * 8);
        *bytes = data[at + 3];
    }
    if (mbr)
        for (unsigned i = 0; i < 4; i++)
            memcpy(fake.bytes + i * 60 * 512 + 510, "\x55\xaa", 2);
    for (int backup = 0; backup < 2; backup++)
        if (checksums >> backup & 1)
            gpt_checksums(&image, backup);
    assert(disk_add(&fake.disk));
    check_partitions(&fake);
    disk_remove(&fake.disk);
    assert(!disk_at(0) && !world_blocks && !world_pages);
    fake_disk_free(&fake);
    return 0;
}
