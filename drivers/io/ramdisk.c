/*
 * Disks in dom0's memory (drivers/disk.h): zeroed ones, and ones over a file of the archive, which share the
 * file's bytes and have pages of their own only where somebody wrote. So many guests may have one file as
 * their disk.
 *
 * Pages come as they are written and go when they are discarded. One eighth of dom0's memory is left to
 * others: beyond that a write fails with ENOSPC. Requests are done before submit() returns; nothing here
 * switches.
 */
#include <dom0/below.h>
#include <lib/printf.h>
#include <lib/string.h>
#include <pvh/memory.h>
#include <xen/errno.h>
#include "registry.h"

#define PER_LEAF (PAGE_SIZE / sizeof(void *))

struct ramdisk {
    struct disk disk;
    const uint8_t *base; /* what stands where nobody wrote; zeroes behind its end */
    uint64_t base_size;
    bool listed;
    size_t leaf_count;
    uint8_t **leaf[]; /* a page of pointers to pages each; NULL where nothing was written */
};

/* --- pages ---------------------------------------------------------------------------------------------- */

static bool memory_is_short(void)
{
    return page_free_count() < memory_total() / PAGE_SIZE / 8;
}

static uint8_t *written_page(const struct ramdisk *ram, uint64_t index)
{
    uint8_t **leaf = ram->leaf[index / PER_LEAF];
    return leaf ? leaf[index % PER_LEAF] : NULL;
}

static void read_base(const struct ramdisk *ram, uint64_t at, void *to, size_t bytes)
{
    size_t there = at >= ram->base_size ? 0 : bytes;
    if (there > ram->base_size - at)
        there = ram->base_size - at;
    if (there)
        memcpy(to, ram->base + at, there);
    memset((char *)to + there, 0, bytes - there);
}

/* The page to write to; whole: all of it will be. NULL: no memory. */
static uint8_t *page_to_write(struct ramdisk *ram, uint64_t index, bool whole)
{
    uint8_t ***leaf = &ram->leaf[index / PER_LEAF];
    uint8_t *page = written_page(ram, index);
    if (page || memory_is_short())
        return page;
    if (!*leaf) {
        *leaf = page_alloc(1);
        if (!*leaf)
            return NULL;
        memset(*leaf, 0, PAGE_SIZE);
    }
    page = page_alloc(1);
    if (page && !whole)
        read_base(ram, index * PAGE_SIZE, page, PAGE_SIZE);
    (*leaf)[index % PER_LEAF] = page;
    return page;
}

static void discard(struct ramdisk *ram, uint64_t at, uint64_t bytes)
{
    uint64_t first = (at + PAGE_SIZE - 1) / PAGE_SIZE, end = (at + bytes) / PAGE_SIZE;
    for (uint64_t i = first; i < end; i++) {
        uint8_t **leaf = ram->leaf[i / PER_LEAF];
        if (!leaf) {
            i |= PER_LEAF - 1;
            continue;
        }
        page_free(leaf[i % PER_LEAF], 1);
        leaf[i % PER_LEAF] = NULL;
    }
}

/* --- requests ------------------------------------------------------------------------------------------- */

/* Bytes that lie in one page of the disk. */
static bool move(struct ramdisk *ram, bool write, uint64_t at, void *data, size_t bytes)
{
    uint64_t index = at / PAGE_SIZE;
    uint8_t *page = write ? page_to_write(ram, index, bytes == PAGE_SIZE) : written_page(ram, index);
    if (write && !page)
        return false;
    if (write)
        memcpy(page + at % PAGE_SIZE, data, bytes);
    else if (page)
        memcpy(data, page + at % PAGE_SIZE, bytes);
    else
        read_base(ram, at, data, bytes);
    return true;
}

static int move_all(struct ramdisk *ram, const struct disk_request *request)
{
    uint64_t at = request->sector * DISK_SECTOR;
    for (unsigned i = 0; i < request->segment_count; i++) {
        char *data = request->segments[i].data;
        for (size_t left = request->segments[i].bytes, n; left; left -= n, at += n, data += n) {
            n = PAGE_SIZE - at % PAGE_SIZE;
            n = n < left ? n : left;
            if (!move(ram, request->operation == DISK_WRITE, at, data, n))
                return XEN_ENOSPC;
        }
    }
    return 0;
}

static void submit(struct disk *disk, struct disk_request *request)
{
    struct ramdisk *ram = disk->driver_data;
    int error = 0;
    if (request->operation == DISK_DISCARD)
        discard(ram, request->sector * DISK_SECTOR, request->sectors * DISK_SECTOR);
    else
        error = move_all(ram, request);
    request->done(request, error);
}

/* --- life ----------------------------------------------------------------------------------------------- */

static void destroy(struct ramdisk *ram)
{
    for (size_t l = 0; l < ram->leaf_count; l++) {
        for (size_t i = 0; ram->leaf[l] && i < PER_LEAF; i++)
            page_free(ram->leaf[l][i], 1);
        page_free(ram->leaf[l], 1);
    }
    mem_free(ram);
}

static void closed(struct disk *disk)
{
    struct ramdisk *ram = disk->driver_data;
    if (!ram->listed)
        destroy(ram);
}

static const struct disk_operations operations = {submit, closed};

/* bytes: a multiple of DISK_SECTOR, not 0. */
static struct ramdisk *create(const char *name, uint64_t bytes, const struct file *file, bool writable)
{
    uint64_t pages = (bytes - 1) / PAGE_SIZE + 1;
    size_t leaves = (pages - 1) / PER_LEAF + 1;
    struct ramdisk *ram = mem_alloc(sizeof *ram + leaves * sizeof ram->leaf[0]);
    if (!ram)
        return NULL;
    ram->leaf_count = leaves;
    if (file) {
        ram->base = file->data;
        ram->base_size = file->size;
        snprintf(ram->disk.model, sizeof ram->disk.model, "%s", file->name);
    }
    strlcpy(ram->disk.name, name, sizeof ram->disk.name);
    ram->disk.driver = !file ? "ram" : writable ? "copy-on-write" : "file";
    ram->disk.operations = &operations;
    ram->disk.sectors = bytes / DISK_SECTOR;
    ram->disk.sector_size = DISK_SECTOR;
    ram->disk.physical_sector_size = PAGE_SIZE;
    ram->disk.max_segments = ram->disk.max_bytes = UINT32_MAX;
    ram->disk.queues = 1;
    ram->disk.discard_granularity = writable ? PAGE_SIZE : 0;
    ram->disk.read_only = !writable;
    ram->disk.needs_data = true;
    ram->disk.driver_data = ram;
    return ram;
}

/* A file's last sector is filled up with zeroes. */
static uint64_t file_bytes(const struct file *file)
{
    uint64_t sectors = (file->size + DISK_SECTOR - 1) / DISK_SECTOR;
    return (sectors ? sectors : 1) * DISK_SECTOR;
}

struct disk *ramdisk_over_file(const struct file *file, bool writable)
{
    struct ramdisk *ram = create(file->name, file_bytes(file), file, writable);
    return ram ? &ram->disk : NULL;
}

int ramdisk_create(const char *name, uint64_t bytes, const char *file_name)
{
    struct file file;
    if (file_name && !file_find(file_name, &file))
        return XEN_ENOENT;
    if (file_name && !bytes)
        bytes = file_bytes(&file);
    if (!bytes || bytes % DISK_SECTOR || (file_name && bytes < file.size) || !*name ||
        strlen(name) >= DISK_NAME)
        return XEN_EINVAL;
    struct ramdisk *ram = create(name, bytes, file_name ? &file : NULL, true);
    if (!ram)
        return XEN_ENOMEM;
    ram->listed = true;
    if (disk_add(&ram->disk))
        return 0;
    destroy(ram);
    return XEN_EEXIST;
}

int ramdisk_destroy(const char *name)
{
    struct disk *disk = NULL;
    while ((disk = registry_next(disk)) && strcmp(disk->name, name))
        ;
    if (!disk)
        return XEN_ENOENT;
    if (disk->operations != &operations)
        return XEN_EINVAL;
    if (disk->users)
        return XEN_EBUSY;
    disk_remove(disk);
    destroy(disk->driver_data);
    return 0;
}
