/*
 * Partition tables of PCs' master boot records (partition.h): four primary partitions, and a chain of tables
 * for the logical ones in an extended one. Sectors are counted in the disk's own unit. Runs in a thread and
 * may switch.
 */
#include <lib/printf.h>
#include <lib/string.h>
#include "partition.h"

#define MOST_LOGICAL 60u

struct mbr_entry {
    uint8_t status, first_chs[3], type, last_chs[3];
    uint32_t first, count;
} __attribute__((packed));

struct mbr {
    uint8_t code[440];
    uint32_t disk_signature;
    uint16_t reserved;
    struct mbr_entry entry[4];
    uint8_t magic[2];
} __attribute__((packed));
_Static_assert(sizeof(struct mbr) == DISK_SECTOR, "one sector");

static bool is_extended(const struct mbr_entry *entry)
{
    return entry->type == 0x05 || entry->type == 0x0f || entry->type == 0x85;
}

/* A file system's boot sector ends like a partition table; what stands in its entries' status is any byte. */
static bool read_mbr(struct disk *disk, uint64_t lba, struct mbr *mbr)
{
    if (disk_read_wait(disk, lba * (disk->sector_size / DISK_SECTOR), mbr, sizeof *mbr) ||
        mbr->magic[0] != 0x55 || mbr->magic[1] != 0xaa)
        return false;
    for (unsigned i = 0; i < 4; i++)
        if (mbr->entry[i].status & 0x7f)
            return false;
    return true;
}

static bool add(struct disk *disk, uint32_t signature, unsigned number, uint64_t first, uint64_t count)
{
    uint64_t unit = disk->sector_size / DISK_SECTOR;
    struct partition_entry partition = {.number = number, .first = first * unit, .sectors = count * unit};
    if (signature)
        snprintf(partition.uuid, sizeof partition.uuid, "%08x-%02x", signature, number);
    return partition_add(disk, &partition);
}

/*
 * Each table of the chain has one partition, relative to itself, and where the next is, relative to the
 * first.
 */
static void add_logical(struct disk *disk, uint32_t signature, const struct mbr_entry *extended)
{
    uint64_t at = extended->first, end = (uint64_t)extended->first + extended->count;
    struct mbr mbr;
    for (unsigned number = 5; number < 5 + MOST_LOGICAL && read_mbr(disk, at, &mbr); number++) {
        const struct mbr_entry *e = &mbr.entry[0], *next = &mbr.entry[1];
        if (e->type && e->first && at + e->first + e->count <= end &&
            !add(disk, signature, number, at + e->first, e->count))
            return;
        if (!is_extended(next) || !next->first || next->first >= extended->count)
            return;
        at = (uint64_t)extended->first + next->first;
    }
}

bool mbr_scan(struct disk *disk)
{
    struct mbr mbr;
    if (!read_mbr(disk, 0, &mbr))
        return false;
    for (unsigned i = 0; i < 4; i++) {
        const struct mbr_entry *e = &mbr.entry[i];
        if (!e->type || is_extended(e))
            continue;
        if (!add(disk, mbr.disk_signature, i + 1, e->first, e->count))
            return true;
    }
    for (unsigned i = 0; i < 4; i++)
        if (is_extended(&mbr.entry[i]))
            add_logical(disk, mbr.disk_signature, &mbr.entry[i]);
    return true;
}
