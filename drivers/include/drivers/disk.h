/*
 * Disks of dom0: what drivers offer, what back ends use.
 *
 * A disk takes requests and calls done() for each, once, whatever happens, in handler context (no thread
 * switch), in any order; users must be ready for it before disk_submit() returns, as memory answers at once
 * and a wrong request is refused there. Until done() the segments' memory may be read or written by a device;
 * after it it is not. A driver that gives up on a request has stopped the device's DMA before it says so.
 */
#ifndef DRIVERS_DISK_H
#define DRIVERS_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DISK_SECTOR 512u /* unit of all positions and lengths, whatever the disk's own sector is */
#define DISK_NAME   64

enum disk_operation { DISK_READ, DISK_WRITE, DISK_FLUSH, DISK_DISCARD };

struct disk_segment {
    uint64_t bus;   /* what a device is told */
    void *data;     /* the same for the processor; NULL where only a device needs it (disk->needs_data) */
    uint32_t bytes; /* a multiple of DISK_SECTOR; does not cross a page */
};

struct disk_request {
    enum disk_operation operation;
    bool force_unit_access;   /* a write that is on the medium when done */
    uint64_t sector, sectors; /* 0 for a flush; sector is not what it was when the request is done */
    const struct disk_segment *segments;
    unsigned segment_count;
    unsigned queue; /* a hint for disks with several queues */
    /*
     * error: 0 or positive errno of xen/errno.h (EIO, ENOSPC, EOPNOTSUPP, ETIMEDOUT). May submit again, may
     * free the request.
     */
    void (*done)(struct disk_request *request, int error);
    void *owner;

    /* The driver's own from submit() to done(). */
    struct disk_request *next;
    uint64_t deadline;
    uint32_t tag, part;
    void *driver;

    /* disk.c's: the request as its owner made it, while it is done in pieces. */
    struct {
        struct disk *disk;
        uint64_t sector, left; /* where the next piece begins, and how many sectors come after this one */
        const struct disk_segment *segments;
        unsigned segment_count, segments_left;
        uint64_t sectors;
        void (*done)(struct disk_request *request, int error);
    } whole;
};

struct disk;
struct disk_operations {
    /*
     * Never fails in place: errors come by done(). The request fits the disk's limits (disk_submit saw to
     * it).
     */
    void (*submit)(struct disk *disk, struct disk_request *request);
    /* The last user closed it; may be NULL. */
    void (*closed)(struct disk *disk);
};

struct disk {
    struct disk *next;
    char name[DISK_NAME];                         /* "vda", "nvme0n1", "sda", "vda1", "ram0" */
    char model[48];                               /* for people */
    char partition_label[40], partition_uuid[40]; /* empty where there is none */
    const char *driver; /* "virtio-blk", "ahci", "nvme", "partition", "ram", "copy-on-write" */
    const struct disk_operations *operations;
    uint64_t sectors;
    uint32_t sector_size; /* smallest unit that the disk takes: 512 or 4096 */
    uint32_t physical_sector_size;
    uint32_t max_segments, max_bytes; /* of a read or write, at least 1 segment and one page */
    uint64_t max_discard;             /* sectors of a discard; 0: no limit */
    uint32_t queues;
    uint32_t discard_granularity; /* bytes; 0: no discard */
    bool read_only, flush, needs_data, removed;
    unsigned users; /* disk_open()s */
    unsigned writers;
    struct disk *parent; /* of a partition or overlay */
    void *driver_data;
};

/* --- for drivers */
/* Makes it known under its name and looks for partitions on it. False: the name is taken. */
bool disk_add(struct disk *disk);
/*
 * The device is gone: later requests fail with EIO; users are told. The driver ended all requests; it may
 * free the disk once users is 0 (operations->closed).
 */
void disk_remove(struct disk *disk);
/* The device says that its size changed. */
void disk_resized(struct disk *disk, uint64_t sectors);

/* --- for users */
/* The index-th disk; NULL past the last. Partitions come right behind their disk. */
struct disk *disk_at(size_t index);
/*
 * target: "/dev/vda", "vda1", "PARTUUID=...", "PARTLABEL=...", "/dev/disk/by-partuuid/...",
 * "/dev/disk/by-partlabel/..."; or the name of a file of the archive: read-only it is the file itself,
 * writable it is a private copy-on-write disk over it, gone when closed. NULL with *problem, one line that
 * names cause and cure: no such disk, read-only, or in use: one writer, or any number of readers (a whole
 * disk and its partitions count as one another's).
 */
struct why;
struct disk *disk_open(const char *target, bool writable, struct why *problem);
void disk_close(struct disk *disk, bool writable);
/*
 * Checks range, alignment and rights (EINVAL, EROFS, EIO by done()), splits what is larger than the disk
 * takes, submits.
 */
void disk_submit(struct disk *disk, struct disk_request *request);
/* For probing: reads into dom0's own memory and waits. Returns an errno. May switch. */
int disk_read_wait(struct disk *disk, uint64_t sector, void *to, size_t bytes);

/* changed() is called, in handler context, when a disk came, went, or has another size. */
struct disk_listener {
    struct disk_listener *next;
    void (*changed)(struct disk_listener *listener, struct disk *disk);
};
void disk_listen(struct disk_listener *listener);
void disk_unlisten(struct disk_listener *listener);

/*
 * ramdisk.c: a disk in dom0's memory, zeroed or filled from a file of the archive (NULL: none). Returns an
 * errno.
 */
int ramdisk_create(const char *name, uint64_t bytes, const char *file);
int ramdisk_destroy(const char *name);

#endif
