/* What the files behind drivers/disk.h offer each other: disk.c, disk_submit.c, partition.c, ramdisk.c. */
#ifndef DRIVERS_IO_REGISTRY_H
#define DRIVERS_IO_REGISTRY_H

#include <drivers/disk.h>

struct file;

/* Puts the disk behind all others, or a partition behind its disk's last one. False: the name is taken. */
bool registry_add(struct disk *disk);
void registry_remove(struct disk *disk);
/* The disk that comes after this one in the order of disk_at(); NULL past the last. NULL: the first. */
struct disk *registry_next(const struct disk *disk);
/* Tells the listeners of disk_listen(). */
void registry_tell(struct disk *disk);

/* Makes the partitions of a disk that was just added known. May switch. */
void partition_scan(struct disk *disk);
/* The partitions go with their disk: none is in the registry after that. */
void partition_remove_all(struct disk *disk);

/* A disk of its own over a file of the archive, not in the registry, gone when closed. NULL: no memory. */
struct disk *ramdisk_over_file(const struct file *file, bool writable);

#endif
