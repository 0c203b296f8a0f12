/*
 * Partitions (drivers/disk.h): a disk each, whose requests go on to the disk that they are part of.
 *
 * The table itself is read by gpt.c and mbr.c; what it says is believed only as far as it makes sense: a
 * partition lies within the disk, has whole sectors of it, and none that another one has.
 */
#include <dom0/below.h>
#include <lib/printf.h>
#include <lib/string.h>
#include "partition.h"
#include "registry.h"

struct partition {
    struct disk disk;
    uint64_t first;
};

static void destroy(struct partition *partition)
{
    mem_free(partition);
}

static void submit(struct disk *disk, struct disk_request *request)
{
    const struct partition *partition = disk->driver_data;
    request->sector += partition->first;
    disk->parent->operations->submit(disk->parent, request);
}

static void closed(struct disk *disk)
{
    if (disk->removed)
        destroy(disk->driver_data);
}

static const struct disk_operations operations = {submit, closed};

/* "sda" and 1 give "sda1", "nvme0n1" and 1 "nvme0n1p1". */
static void make_name(char *name, const char *disk, unsigned number)
{
    size_t length = strlen(disk);
    bool digit = length && disk[length - 1] >= '0' && disk[length - 1] <= '9';
    snprintf(name, DISK_NAME, "%.48s%s%u", disk, digit ? "p" : "", number);
}

static bool overlaps_another(const struct disk *parent, uint64_t first, uint64_t sectors)
{
    for (struct disk *d = NULL; (d = registry_next(d));) {
        const struct partition *other = d->driver_data;
        if (d->parent == parent && first < other->first + d->sectors && other->first < first + sectors)
            return true;
    }
    return false;
}

bool partition_add(struct disk *parent, const struct partition_entry *entry)
{
    uint64_t first = entry->first, sectors = entry->sectors;
    const char *wrong = NULL;
    /* Whoever had the first sector could change the table. */
    if (!first || !sectors || first >= parent->sectors || sectors > parent->sectors - first)
        wrong = "is not within the disk";
    else if ((first | sectors) & (parent->sector_size / DISK_SECTOR - 1))
        wrong = "does not begin and end with a sector of the disk";
    else if (overlaps_another(parent, first, sectors))
        wrong = "overlaps another one";
    if (wrong) {
        print("%s: partition %u %s and is left out\n", parent->name, entry->number, wrong);
        return true;
    }
    struct partition *partition = mem_alloc(sizeof *partition);
    if (!partition)
        return false;
    partition->first = first;
    partition->disk = *parent;
    partition->disk.next = NULL;
    partition->disk.model[0] = '\0';
    make_name(partition->disk.name, parent->name, entry->number);
    strlcpy(partition->disk.partition_label, entry->label, sizeof partition->disk.partition_label);
    strlcpy(partition->disk.partition_uuid, entry->uuid, sizeof partition->disk.partition_uuid);
    partition->disk.driver = "partition";
    partition->disk.operations = &operations;
    partition->disk.sectors = sectors;
    partition->disk.users = partition->disk.writers = 0;
    partition->disk.parent = parent;
    partition->disk.driver_data = partition;
    if (registry_add(&partition->disk))
        registry_tell(&partition->disk);
    else
        destroy(partition);
    return true;
}

void partition_scan(struct disk *disk)
{
    if (!disk->sectors || gpt_scan(disk))
        return;
    mbr_scan(disk);
}

void partition_remove_all(struct disk *disk)
{
    for (struct disk *d = registry_next(NULL), *next; d; d = next) {
        next = registry_next(d);
        if (d->parent != disk)
            continue;
        registry_remove(d);
        d->removed = true;
        registry_tell(d);
        if (!d->users)
            destroy(d->driver_data);
    }
}
