/*
 * What the fuzz targets of drivers of drives share: the input, the requests that it makes, and what must be
 * true of them in the end.
 */
#ifndef TESTS_FUZZ_DRIVE_INPUT_H
#define TESTS_FUZZ_DRIVE_INPUT_H

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include "../unit/drive_world.h"

#define REQUESTS 200

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t *input;
static size_t left;
static struct io *requests[REQUESTS];

static uint8_t byte(void)
{
    return left ? left--, *input++ : 0;
}

static uint32_t word(void)
{
    return byte() | (uint32_t)byte() << 8 | (uint32_t)byte() << 16 | (uint32_t)byte() << 24;
}

/* Its memory goes at once: a device that still uses it is seen. */
static void ended(struct io *io)
{
    free(io->pages);
    io->pages = NULL;
}

static void submit(void)
{
    uint32_t shape[9][2], bytes = 0;
    unsigned slot = 0, count = 1 + byte() % 8;
    while (slot < REQUESTS && requests[slot])
        slot++;
    if (!world.disks || slot == REQUESTS)
        return;
    struct disk *disk = world.disk[byte() % world.disks];
    enum disk_operation operation = (enum disk_operation)(byte() % 4);
    for (unsigned i = 0; i < count; i++) {
        uint32_t first = byte() % 8, sectors = 1 + byte() % (8 - first);
        bool whole = byte() & 1;
        shape[i][0] = whole ? 0 : first * DISK_SECTOR;
        shape[i][1] = whole ? 4096 : sectors * DISK_SECTOR;
        bytes += shape[i][1];
    }
    /* Whole blocks, however they are cut. */
    if (bytes % disk->sector_size) {
        shape[count][0] = 0;
        shape[count++][1] = disk->sector_size - bytes % disk->sector_size;
    }
    bool moves = operation == DISK_READ || operation == DISK_WRITE;
    struct io *io =
        io_new(operation, operation == DISK_FLUSH ? 0 : byte() * 8u, moves ? count : 0, shape, NULL);
    if (operation == DISK_DISCARD)
        io->request.sectors = 8;
    io->request.force_unit_access = byte() & 1;
    io->request.queue = byte();
    io->then = ended;
    requests[slot] = io;
    io_submit(disk, io);
}

/* Each has ended, and the driver has let go of all that it had. */
static void finish(void)
{
    for (unsigned i = 0; i < REQUESTS && requests[i]; i++) {
        assert(requests[i]->done);
        io_free(requests[i]);
        requests[i] = NULL;
    }
    assert(!world.threads && !world.pages && !world.allocations && !world.disks);
    world_end();
}

#endif
