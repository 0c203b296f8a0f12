/* What partition.c, gpt.c and mbr.c offer each other. Positions and lengths in units of DISK_SECTOR. */
#ifndef DRIVERS_IO_PARTITION_H
#define DRIVERS_IO_PARTITION_H

#include <drivers/disk.h>

struct partition_entry {
    unsigned number; /* as in sda1 */
    uint64_t first, sectors;
    char label[40], uuid[40]; /* empty: none */
};

/* Takes it, or says why not and goes on. False: no memory, the rest of the table need not be read. */
bool partition_add(struct disk *disk, const struct partition_entry *entry);

/* Adds what a GUID partition table names (UEFI 2.9, chapter 5). False: there is none on the disk. */
bool gpt_scan(struct disk *disk);
/* The same for a PC's master boot record and the chain of its logical partitions. */
bool mbr_scan(struct disk *disk);

#endif
