/*
 * What the tests of drivers of drives share: a pattern that is written and read back, one request at a time.
 * Included once by each, behind cmocka.h.
 */
#ifndef TESTS_DRIVE_TEST_H
#define TESTS_DRIVE_TEST_H

#include "drive_world.h"

static uint8_t pattern[64 * 4096], got[64 * 4096];
static const uint32_t one_page[1][2] = {{0, 4096}};

static int fill_pattern(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = (uint8_t)(i * 7 + i / 512);
    return 0;
}

static struct io *submit(struct disk *disk, enum disk_operation operation, uint64_t sector, unsigned count,
                         const uint32_t (*shape)[2])
{
    struct io *io = io_new(operation, sector, count, shape, operation == DISK_WRITE ? pattern : NULL);
    io_submit(disk, io);
    return io;
}

static int end(struct io *io)
{
    assert_true(world_run_until(&io->done));
    int error = io->error;
    io_free(io);
    return error;
}

static void check_read(struct disk *disk, uint64_t sector, unsigned count, const uint32_t (*shape)[2],
                       size_t bytes)
{
    struct io *io = submit(disk, DISK_READ, sector, count, shape);
    assert_true(world_run_until(&io->done));
    assert_int_equal(io->error, 0);
    io_gather(io, got);
    assert_memory_equal(got, pattern, bytes);
    io_free(io);
}

#endif
