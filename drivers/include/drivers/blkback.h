/*
 * The block back end (xen/io/blkif.h): guests' disks, each of which is a disk of dom0's (drivers/disk.h).
 *
 * The toolstack's keys: "params" (a target of disk_open()), "mode" (r or w), "device-type" (disk or cdrom),
 * "removable", "discard-enable".
 */
#ifndef DRIVERS_BLKBACK_H
#define DRIVERS_BLKBACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xen/xen.h>

struct blkback_statistics {
    uint64_t reads, writes, flushes, discards;
    uint64_t read_sectors, written_sectors; /* of 512 bytes */
    uint64_t errors;                        /* requests that were not done */
};

struct blkback_info {
    domid_t domid;
    unsigned devid;
    const char *disk; /* its name */
    bool writable, connected;
    unsigned queues;
    struct blkback_statistics statistics;
};

/* Starts to serve guests; after store_init(). */
void blkback_init(void);
/* The index-th device; false past the last. */
bool blkback_at(size_t index, struct blkback_info *info);

#endif
