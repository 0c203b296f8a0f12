/*
 * GUID partition tables (partition.h; UEFI 2.9, chapter 5).
 *
 * A table counts only behind a protective master boot record, so that one that was left from before the disk
 * was given another is not taken for it. If the first header or its entries are damaged the copy at the
 * disk's end is used. Runs in a thread and may switch.
 */
#include <dom0/below.h>
#include <lib/printf.h>
#include <lib/string.h>
#include "partition.h"

#define MOST_ENTRIES 256u
#define TABLE_MAX    (1u << 20) /* bytes of entries; 16 KiB is usual */
#define SECTOR_MAX   4096u

struct guid {
    uint32_t a;
    uint16_t b, c;
    uint8_t d[8];
} __attribute__((packed));

struct gpt_header {
    char signature[8];
    uint32_t revision, header_size, header_crc, reserved;
    uint64_t my_lba, alternate_lba, first_usable, last_usable;
    struct guid disk_guid;
    uint64_t entries_lba;
    uint32_t entry_count, entry_size, entries_crc;
} __attribute__((packed));
_Static_assert(sizeof(struct gpt_header) == 92, "UEFI 2.9, table 5-5");

struct gpt_entry {
    struct guid type, unique;
    uint64_t first_lba, last_lba, attributes;
    uint16_t name[36];
} __attribute__((packed));
_Static_assert(sizeof(struct gpt_entry) == 128, "UEFI 2.9, table 5-6");

struct table {
    uint32_t count, entry_size;
    uint64_t first_usable, last_usable;
    uint8_t *entries;
};

/* The CRC of IEEE 802.3, continued from crc, which is 0 at the start. */
static uint32_t crc32(uint32_t crc, const void *data, size_t size)
{
    const uint8_t *byte = data;
    crc = ~crc;
    while (size--) {
        crc ^= *byte++;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc;
}

static uint64_t unit(const struct disk *disk)
{
    return disk->sector_size / DISK_SECTOR;
}

static uint64_t last_lba(const struct disk *disk)
{
    return disk->sectors / unit(disk) - 1;
}

/* --- header and entries --------------------------------------------------------------------------------- */

static bool header_crc_is_right(uint8_t *sector, const struct gpt_header *header)
{
    memset(sector + offsetof(struct gpt_header, header_crc), 0, sizeof header->header_crc);
    return crc32(0, sector, header->header_size) == header->header_crc;
}

/* The sectors that guests may get: none of the headers' and of the tables'. */
static bool layout_makes_sense(const struct disk *disk, const struct gpt_header *h)
{
    uint64_t bytes = (uint64_t)h->entry_count * h->entry_size;
    uint64_t lbas = (bytes + disk->sector_size - 1) / disk->sector_size;
    if (h->entry_size < sizeof(struct gpt_entry) || h->entry_size % 8 || !bytes || bytes > TABLE_MAX)
        return false;
    /* There is a header and a table at both ends. */
    if (h->first_usable < 2 + lbas || h->first_usable > h->last_usable ||
        h->last_usable + lbas >= last_lba(disk) || h->last_usable > last_lba(disk))
        return false;
    if (h->entries_lba < 2 || h->entries_lba > last_lba(disk) || lbas > last_lba(disk) - h->entries_lba)
        return false;
    return h->entries_lba + lbas <= h->first_usable || h->entries_lba > h->last_usable;
}

static bool read_table(struct disk *disk, uint64_t lba, struct table *table)
{
    static uint8_t sector[SECTOR_MAX];
    struct gpt_header header;
    if (disk_read_wait(disk, lba * unit(disk), sector, disk->sector_size))
        return false;
    memcpy(&header, sector, sizeof header);
    if (memcmp(header.signature, "EFI PART", 8) || header.header_size < sizeof header ||
        header.header_size > disk->sector_size || !header_crc_is_right(sector, &header) ||
        header.my_lba != lba || !layout_makes_sense(disk, &header))
        return false;
    size_t bytes = (size_t)header.entry_count * header.entry_size;
    table->entries = mem_alloc(bytes);
    if (!table->entries || disk_read_wait(disk, header.entries_lba * unit(disk), table->entries, bytes) ||
        crc32(0, table->entries, bytes) != header.entries_crc) {
        mem_free(table->entries);
        return false;
    }
    table->count = header.entry_count;
    table->entry_size = header.entry_size;
    table->first_usable = header.first_usable;
    table->last_usable = header.last_usable;
    return true;
}

/* --- partitions ----------------------------------------------------------------------------------------- */

/* Only what a terminal shows as it stands. */
static void make_label(char label[40], const uint16_t name[36])
{
    size_t i = 0;
    for (; i < 36 && name[i]; i++)
        label[i] = name[i] > ' ' && name[i] < 0x7f ? (char)name[i] : name[i] == ' ' ? ' ' : '_';
    label[i] = '\0';
}

static void make_uuid(char uuid[40], const struct guid *g)
{
    snprintf(uuid, 40, "%08x-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x", g->a, g->b, g->c, g->d[0], g->d[1],
             g->d[2], g->d[3], g->d[4], g->d[5], g->d[6], g->d[7]);
}

static bool add_entry(struct disk *disk, const struct table *table, unsigned index)
{
    static const struct guid unused;
    struct gpt_entry e;
    struct partition_entry partition = {.number = index + 1};
    memcpy(&e, table->entries + (size_t)index * table->entry_size, sizeof e);
    if (!memcmp(&e.type, &unused, sizeof unused))
        return true;
    if (e.first_lba < table->first_usable || e.last_lba > table->last_usable || e.first_lba > e.last_lba) {
        print("%s: partition %u is not within the part of the disk that is for partitions, and is left out\n",
              disk->name, partition.number);
        return true;
    }
    uint16_t name[36];
    memcpy(name, e.name, sizeof name);
    make_label(partition.label, name);
    make_uuid(partition.uuid, &e.unique);
    partition.first = e.first_lba * unit(disk);
    partition.sectors = (e.last_lba - e.first_lba + 1) * unit(disk);
    return partition_add(disk, &partition);
}

static bool is_protected(struct disk *disk)
{
    uint8_t mbr[DISK_SECTOR];
    if (disk_read_wait(disk, 0, mbr, sizeof mbr) || mbr[510] != 0x55 || mbr[511] != 0xaa)
        return false;
    for (unsigned i = 0; i < 4; i++)
        if (mbr[446 + 16 * i + 4] == 0xee)
            return true;
    return false;
}

bool gpt_scan(struct disk *disk)
{
    struct table table;
    if (disk->sector_size > SECTOR_MAX || last_lba(disk) < 4 || !is_protected(disk))
        return false;
    if (!read_table(disk, 1, &table)) {
        if (!read_table(disk, last_lba(disk), &table)) {
            print("%s: its GPT and the copy at its end are damaged: no partitions\n", disk->name);
            return true;
        }
        print("%s: its GPT is damaged; the copy at its end is used\n", disk->name);
    }
    for (unsigned i = 0; i < table.count && i < MOST_ENTRIES && add_entry(disk, &table, i); i++)
        ;
    mem_free(table.entries);
    return true;
}
