/* sources: drivers/io/ahci.c drivers/io/ahci_link.c drivers/io/ahci_port.c drivers/io/ahci_request.c drivers/io/ahci_drive.c drivers/io/drive.c tests/unit/drive_world.c tests/unit/ahci_model.c */
/*
 * The AHCI driver over a pretended controller: what goes out, what comes back, and what becomes of requests
 * when drives fail or go.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <xen/errno.h>
#include "ahci_model.h"
#include "drive_test.h"
#include "drive_world.h"
#include "../../drivers/io/drivers.h"

static struct disk *start(struct pci_function *f)
{
    assert_true(ahci_driver.probe(f));
    assert_int_equal(world.disks, 1);
    return world.disk[0];
}

/* Pulls the controller out, and sees that nothing is left. */
static void finish(void)
{
    struct disk *disk = world.disks ? world.disk[0] : NULL;
    struct io *io = disk ? io_new(DISK_FLUSH, 0, 0, NULL, NULL) : NULL;
    world.pulled_out = true;
    if (io) {
        io_submit(disk, io);
        assert_true(world_run_until(&io->done));
        assert_int_equal(io->error, XEN_EIO);
        io_free(io);
        world_run(100 * MS);
        assert_int_equal(world.threads, 0);
        assert_int_equal(world.pages, 0);
        assert_int_equal(world.allocations, 0);
    }
    world_end();
    ahci_model_end();
}

static void test_found(void **state)
{
    (void)state;
    struct disk *disk = start(ahci_model_reset());
    assert_string_equal(disk->name, "sda");
    assert_string_equal(disk->model, "MODEL OF A DRIVE");
    assert_int_equal(disk->sectors, 4096);
    assert_int_equal(disk->sector_size, 512);
    assert_int_equal(disk->physical_sector_size, 4096);
    assert_true(
        world_said("2048 KiB in sectors of 512 bytes (4096 physically), NCQ of 32, write cache, discard"));
    assert_true(world.now < 200 * MS);
    finish();
}

static void test_shapes(void **state)
{
    (void)state;
    static const uint32_t pages[5][2] = {{0, 4096}, {0, 4096}, {0, 4096}, {0, 4096}, {0, 4096}};
    static const uint32_t gaps[4][2] = {{512, 512}, {1024, 1024}, {0, 4096}, {3584, 2560 - 2048}};
    for (unsigned variant = 0; variant < 4; variant++) {
        struct pci_function *f = ahci_model_reset();
        ahci.drive[0].queue_depth = variant & 1 ? 32 : 0;
        ahci.drive[0].shift = variant & 2 ? 12 : 9;
        struct disk *disk = start(f);
        assert_int_equal(disk->sector_size, variant & 2 ? 4096 : 512);
        assert_int_equal(end(submit(disk, DISK_WRITE, 8, 5, pages)), 0);
        assert_memory_equal(ahci.drive[0].store + 8 * 512, pattern, 5 * 4096);
        check_read(disk, 8, 5, pages, 5 * 4096);
        if (!(variant & 2))
            check_read(disk, 8, 4, gaps, 6144);
        assert_int_equal(ahci.drive[0].queued, variant & 1 ? 2 + !(variant & 2) : 0);
        finish();
    }
}

static void test_flush_fua_discard(void **state)
{
    (void)state;
    for (int fua = 0; fua < 2; fua++) {
        struct pci_function *f = ahci_model_reset();
        ahci.drive[0].fua = fua;
        struct disk *disk = start(f);
        struct io *io = io_new(DISK_WRITE, 0, 1, one_page, pattern);
        io->request.force_unit_access = true;
        io_submit(disk, io);
        assert_int_equal(end(io), 0);
        assert_int_equal(ahci.drive[0].forced, fua);
        assert_int_equal(ahci.drive[0].flushes, !fua);
        assert_int_equal(end(submit(disk, DISK_FLUSH, 0, 0, NULL)), 0);
        assert_int_equal(ahci.drive[0].flushes, 1 + !fua);
        io = io_new(DISK_DISCARD, 0, 0, NULL, NULL);
        io->request.sectors = 4;
        io_submit(disk, io);
        assert_int_equal(end(io), 0);
        assert_int_equal(ahci.drive[0].trims, 1);
        assert_int_equal(ahci.drive[0].store[2047], 0);
        assert_int_equal(ahci.drive[0].store[2048], pattern[2048]);
        finish();
    }
}

/* Queued commands and others never mix, and none is left behind. */
static void test_many(void **state)
{
    (void)state;
    struct io *io[200];
    struct disk *disk = start(ahci_model_reset());
    ahci.drive[0].mute = true;
    for (unsigned i = 0; i < 200; i++) {
        io[i] = i % 50 == 49 ? io_new(DISK_FLUSH, 0, 0, NULL, NULL)
                             : io_new(DISK_WRITE, i * 8, 1, one_page, pattern);
        io_submit(disk, io[i]);
    }
    world_run(5 * MS);
    assert_int_equal(ahci.drive[0].most_at_once, 32);
    ahci.drive[0].mute = false;
    for (unsigned i = 0; i < 200; i++)
        assert_int_equal(end(io[i]), 0);
    assert_int_equal(ahci.drive[0].flushes, 4);
    assert_int_equal(ahci.drive[0].resets, 1);
    finish();
}

/* One of many fails: the others are carried out, with and without a log that names the bad one. */
static void test_errors(void **state)
{
    (void)state;
    for (unsigned variant = 0; variant < 3; variant++) {
        struct pci_function *f = ahci_model_reset();
        ahci.drive[0].log = variant == 1;
        ahci.drive[0].queue_depth = variant ? 32 : 0;
        struct disk *disk = start(f);
        struct io *io[20];
        ahci.drive[0].fail_sector = 10 * 8 + 3;
        ahci.drive[0].fail_times = 100;
        for (unsigned i = 0; i < 20; i++)
            io[i] = submit(disk, DISK_WRITE, i * 8, 1, one_page);
        for (unsigned i = 0; i < 20; i++) {
            assert_true(world_run_until(&io[i]->done));
            assert_int_equal(io[i]->error, i == 10 ? XEN_EIO : 0);
            io_free(io[i]);
        }
        /* Without a log the first failure is nobody's. */
        assert_int_equal(ahci.drive[0].fail_times, variant == 2 ? 96 : 97);
        ahci.drive[0].fail_times = 1;
        assert_int_equal(end(submit(disk, DISK_READ, 80, 1, one_page)), 0);
        assert_true(world.now < 2000 * MS);
        finish();
    }
}

static void test_short_read(void **state)
{
    (void)state;
    struct pci_function *f = ahci_model_reset();
    ahci.drive[0].queue_depth = 0;
    struct disk *disk = start(f);
    ahci.drive[0].short_read = true;
    assert_int_equal(end(submit(disk, DISK_READ, 8, 1, one_page)), XEN_EIO);
    finish();
}

static void test_lost_interrupt(void **state)
{
    (void)state;
    struct disk *disk = start(ahci_model_reset());
    ahci.lose_interrupts = true;
    assert_int_equal(end(submit(disk, DISK_READ, 8, 1, one_page)), 0);
    assert_true(world.now < 3000 * MS);
    finish();
}

static void test_timeout(void **state)
{
    (void)state;
    struct disk *disk = start(ahci_model_reset());
    ahci.drive[0].mute = true;
    struct io *io = submit(disk, DISK_WRITE, 8, 1, one_page);
    world_run(29000 * MS);
    assert_int_equal(ahci.drive[0].resets, 1);
    assert_false(io->done);
    world_run(3000 * MS);
    assert_int_equal(ahci.drive[0].resets, 2);
    assert_false(io->done);
    ahci.drive[0].mute = false;
    assert_int_equal(end(io), 0);
    assert_memory_equal(ahci.drive[0].store + 8 * 512, pattern, 4096);
    assert_int_equal(ahci.resets, 1);
    ahci.drive[0].mute = true;
    assert_int_equal(end(submit(disk, DISK_READ, 8, 1, one_page)), XEN_ETIMEDOUT);
    finish();
}

/*
 * An engine that does not stop takes the reset of the whole controller; the other drive's requests survive
 * that.
 */
static void test_hung_engine(void **state)
{
    (void)state;
    struct pci_function *f = ahci_model_reset();
    ahci.drive[2].present = true;
    assert_true(ahci_driver.probe(f));
    assert_int_equal(world.disks, 2);
    assert_string_equal(world.disk[1]->name, "sdb");
    ahci.drive[0].engine_hangs = true;
    ahci.drive[2].mute = true;
    struct io *io = submit(world.disk[0], DISK_WRITE, 8, 1, one_page);
    struct io *other = submit(world.disk[1], DISK_WRITE, 16, 1, one_page);
    ahci_model_raise(0, IS_HBFS);
    world_run(5000 * MS);
    assert_int_equal(ahci.resets, 2);
    ahci.drive[2].mute = false;
    assert_int_equal(end(io), 0);
    assert_int_equal(end(other), 0);
    assert_memory_equal(ahci.drive[2].store + 16 * 512, pattern, 4096);
    /* If that does not help either, the bus is the last resort. */
    ahci.drive[0].engine_hangs = ahci.cannot_reset = true;
    ahci.drive[0].mute = true;
    io = submit(world.disk[0], DISK_WRITE, 8, 1, one_page);
    ahci_model_raise(0, IS_HBFS);
    assert_true(world_run_until(&io->done));
    assert_int_equal(io->error, XEN_EIO);
    assert_false(world.master);
    io_free(io);
    world_run(100 * MS);
    assert_int_equal(world.disks, 0);
    assert_int_equal(world.allocations, 0);
    finish();
}

static void test_plug(void **state)
{
    (void)state;
    struct disk *disk = start(ahci_model_reset());
    ahci_model_plug(2, true);
    world_run(200 * MS);
    assert_int_equal(world.disks, 2);
    assert_string_equal(world.disk[1]->name, "sdb");
    /* Pulled out while it works, and open. */
    disk->users++;
    ahci.drive[0].mute = true;
    struct io *io = submit(disk, DISK_WRITE, 8, 1, one_page), *late;
    world_run(MS);
    ahci_model_plug(0, false);
    assert_int_equal(end(io), XEN_EIO);
    world_run(10 * MS);
    assert_int_equal(world.disks, 1);
    late = submit(disk, DISK_READ, 8, 1, one_page);
    assert_int_equal(end(late), XEN_EIO);
    /* Another one comes in its place, and gets its name. */
    ahci.drive[0].mute = false;
    ahci.drive[0].serial = 'X';
    ahci_model_plug(0, true);
    world_run(200 * MS);
    assert_int_equal(world.disks, 2);
    assert_string_equal(world.disk[1]->name, "sda");
    if (!--disk->users)
        disk->operations->closed(disk);
    /* A link that only was lost for a moment brings the same drive, and its requests go on. */
    ahci.drive[0].mute = true;
    io = submit(world.disk[1], DISK_WRITE, 8, 1, one_page);
    world_run(MS);
    ahci_model_plug(0, true);
    ahci.drive[0].mute = false;
    assert_int_equal(end(io), 0);
    assert_int_equal(world.removed, 1);
    /* Swapped faster than anybody could look. */
    ahci.drive[0].serial = 'Y';
    ahci_model_plug(0, true);
    world_run(200 * MS);
    assert_int_equal(world.removed, 2);
    assert_int_equal(world.added, 4);
    finish();
}

static void test_left_alone(void **state)
{
    (void)state;
    struct pci_function *f = ahci_model_reset();
    ahci.drive[0].signature = SIGNATURE_ATAPI;
    ahci.drive[2].present = true;
    ahci.drive[2].sectors = 0;
    assert_true(ahci_driver.probe(f));
    assert_int_equal(world.disks, 0);
    assert_true(world_said("00:05.0.0: left alone: a drive for removable media (ATAPI)"));
    assert_true(world_said("its size makes no sense"));
    ahci_model_plug(0, false);
    world_run(100 * MS);
    ahci.drive[0].signature = SIGNATURE_ATA;
    ahci.drive[0].stand_by = true;
    ahci_model_plug(0, true);
    world_run(100 * MS);
    assert_int_equal(world.disks, 1);
    assert_false(ahci.drive[0].stand_by);
    finish();
    f = ahci_model_reset();
    ahci.cannot_reset = true;
    assert_false(ahci_driver.probe(f));
    assert_int_equal(world.allocations, 0);
    assert_false(world.master);
    world_end();
    ahci_model_end();
}

/* A drive that answers nothing at all does not hold up the start for ever. */
static void test_dead_drive(void **state)
{
    (void)state;
    struct pci_function *f = ahci_model_reset();
    ahci.drive[0].dead = true;
    ahci.drive[2].present = true;
    assert_true(ahci_driver.probe(f));
    assert_int_equal(world.disks, 1);
    assert_true(world_said("there is a drive that does not answer"));
    assert_true(world.now < 60000 * MS);
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found),       cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_many),        cmocka_unit_test(test_flush_fua_discard),
        cmocka_unit_test(test_errors),      cmocka_unit_test(test_short_read),
        cmocka_unit_test(test_timeout),     cmocka_unit_test(test_lost_interrupt),
        cmocka_unit_test(test_hung_engine), cmocka_unit_test(test_plug),
        cmocka_unit_test(test_left_alone),  cmocka_unit_test(test_dead_drive),
    };
    return cmocka_run_group_tests(tests, fill_pattern, NULL);
}
