/* sources: drivers/io/nvme.c drivers/io/nvme_queue.c drivers/io/nvme_admin.c drivers/io/nvme_namespace.c drivers/io/drive.c tests/unit/drive_world.c tests/unit/nvme_model.c */
/*
 * The NVMe driver over a pretended controller: what goes out, what comes back, and what becomes of requests
 * when it fails.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <xen/errno.h>
#include "drive_test.h"
#include "drive_world.h"
#include "nvme_model.h"
#include "../../drivers/io/drivers.h"

static struct disk *start(void)
{
    assert_true(nvme_driver.probe(nvme_model_reset()));
    assert_int_equal(world.disks, 1);
    world_run(MS);
    return world.disk[0];
}

/* Pulls it out, and sees that nothing is left. */
static void finish(void)
{
    world.pulled_out = true;
    world_interrupt(0);
    struct disk *disk = world.disks ? world.disk[0] : NULL;
    struct io *io = disk ? io_new(DISK_FLUSH, 0, 0, NULL, NULL) : NULL;
    if (io) {
        io_submit(disk, io);
        assert_true(world_run_until(&io->done));
        assert_int_equal(io->error, XEN_EIO);
        io_free(io);
    }
    world_run(100 * MS);
    assert_int_equal(world.threads, 0);
    assert_int_equal(world.pages, 0);
    assert_int_equal(world.allocations, 0);
    world_end();
    nvme_model_end();
}

static void test_found(void **state)
{
    (void)state;
    struct disk *disk = start();
    assert_string_equal(disk->name + 4 + 1, "n1");
    assert_string_equal(disk->model, "MODEL OF A DRIVE");
    assert_int_equal(disk->sectors, 4096);
    assert_int_equal(disk->max_bytes, 512 << 10);
    assert_true(disk->flush);
    assert_true(world_said(
        "MODEL OF A DRIVE, 2048 KiB in blocks of 512 bytes, 4 queues of 63, write cache, discard"));
    finish();
}

static void test_shapes(void **state)
{
    (void)state;
    static const uint32_t pages[5][2] = {{0, 4096}, {0, 4096}, {0, 4096}, {0, 4096}, {0, 4096}};
    static const uint32_t late[3][2] = {{1536, 2560}, {0, 4096}, {0, 512}};
    static const uint32_t gaps[4][2] = {{512, 512}, {1024, 1024}, {0, 4096}, {3584, 512}};
    for (int sgl = 0; sgl < 2; sgl++) {
        struct pci_function *f = nvme_model_reset();
        model.sgl = model.says_sgl = sgl;
        assert_true(nvme_driver.probe(f));
        struct disk *disk = world.disk[0];
        assert_int_equal(end(submit(disk, DISK_WRITE, 8, 5, pages)), 0);
        assert_memory_equal(model.store + 8 * 512, pattern, 5 * 4096);
        check_read(disk, 8, 5, pages, 5 * 4096);
        check_read(disk, 8, 3, late, 7168);
        check_read(disk, 8, 4, gaps, 6144);
        assert_int_equal(end(submit(disk, DISK_WRITE, 100, 4, gaps)), 0);
        assert_memory_equal(model.store + 100 * 512, pattern, 6144);
        finish();
    }
}

static void test_large_blocks(void **state)
{
    (void)state;
    static const uint32_t gaps[2][2] = {{512, 1024}, {1024, 3072}};
    static const uint32_t shifted[4][2] = {{1024, 3072}, {0, 4096}, {512, 1024}, {0, 4096}};
    for (int sgl = 0; sgl < 2; sgl++) {
        struct pci_function *f = nvme_model_reset();
        model.shift = 12;
        model.sgl = model.says_sgl = sgl;
        assert_true(nvme_driver.probe(f));
        struct disk *disk = world.disk[0];
        assert_int_equal(disk->sector_size, 4096);
        assert_int_equal(disk->sectors, 4096 * 8);
        assert_int_equal(end(submit(disk, DISK_WRITE, 16, 1, one_page)), 0);
        assert_memory_equal(model.store + 16 * 512, pattern, 4096);
        /* PRPs cannot describe these. */
        assert_int_equal(disk->needs_data, !sgl);
        assert_int_equal(end(submit(disk, DISK_WRITE, 24, 2, gaps)), 0);
        assert_memory_equal(model.store + 24 * 512, pattern, 4096);
        check_read(disk, 24, 2, gaps, 4096);
        unsigned before = model.commands;
        assert_int_equal(end(submit(disk, DISK_WRITE, 40, 4, shifted)), 0);
        assert_memory_equal(model.store + 40 * 512, pattern, 3 * 4096);
        assert_int_equal(model.commands - before, sgl ? 1 : 3);
        check_read(disk, 40, 4, shifted, 3 * 4096);
        finish();
    }
}

static void test_flush_fua_discard(void **state)
{
    (void)state;
    struct disk *disk = start();
    struct io *io = io_new(DISK_WRITE, 0, 1, one_page, pattern);
    io->request.force_unit_access = true;
    io_submit(disk, io);
    assert_int_equal(end(io), 0);
    assert_int_equal(model.forced, 1);
    assert_int_equal(end(submit(disk, DISK_FLUSH, 0, 0, NULL)), 0);
    assert_int_equal(model.flushes, 1);
    io = io_new(DISK_DISCARD, 0, 0, NULL, NULL);
    io->request.sectors = 4;
    io_submit(disk, io);
    assert_int_equal(end(io), 0);
    assert_int_equal(model.discards, 1);
    assert_int_equal(model.store[2047], 0);
    assert_int_equal(model.store[2048], pattern[2048]);
    finish();
}

static void test_many(void **state)
{
    (void)state;
    struct io *io[300];
    struct disk *disk = start();
    model.mute = true;
    for (unsigned i = 0; i < 300; i++) {
        io[i] = io_new(DISK_WRITE, i * 8, 1, one_page, pattern);
        io[i]->request.queue = i % 3;
        io_submit(disk, io[i]);
    }
    world_run(5 * MS);
    assert_int_equal(model.most_at_once, 63);
    model.mute = false;
    for (unsigned i = 0; i < 300; i++)
        assert_int_equal(end(io[i]), 0);
    assert_int_equal(model.starts, 1);
    finish();
}

static void test_errors(void **state)
{
    (void)state;
    struct disk *disk = start();
    model.fail_block = 10;
    model.fail_times = 2;
    assert_int_equal(end(submit(disk, DISK_READ, 8, 1, one_page)), 0);
    assert_int_equal(model.fail_times, 0);
    model.fail_times = 100;
    assert_int_equal(end(submit(disk, DISK_READ, 8, 1, one_page)), XEN_EIO);
    assert_int_equal(model.fail_times, 97);
    model.fail_status = STATUS_CAPACITY_EXCEEDED | STATUS_DNR;
    assert_int_equal(end(submit(disk, DISK_WRITE, 8, 1, one_page)), XEN_ENOSPC);
    assert_int_equal(model.fail_times, 96);
    assert_int_equal(end(submit(disk, DISK_READ, 16, 1, one_page)), 0);
    assert_int_equal(model.starts, 1);
    finish();
}

static void test_lost_interrupt(void **state)
{
    (void)state;
    struct disk *disk = start();
    model.lose_interrupts = true;
    assert_int_equal(end(submit(disk, DISK_READ, 8, 1, one_page)), 0);
    assert_true(world.now < 5000 * MS);
    assert_int_equal(model.aborts, 0);
    finish();
}

static void is_stopped(struct io *io)
{
    assert_true(io->error == XEN_ETIMEDOUT);
    assert_false(model.enabled);
}

static void test_timeout(void **state)
{
    (void)state;
    struct disk *disk = start();
    model.mute = true;
    struct io *io = submit(disk, DISK_READ, 8, 1, one_page);
    world_run(29000 * MS);
    assert_false(io->done);
    assert_int_equal(model.aborts, 0);
    model.fail_times = 0;
    world_run(3000 * MS);
    assert_int_equal(model.aborts, 1);
    assert_int_equal(model.starts, 1);
    /* It is aborted and goes again; now the controller knows no abort, so it is reset. */
    model.abort_works = false;
    world_run(32000 * MS);
    assert_int_equal(model.starts, 2);
    assert_false(io->done);
    model.mute = false;
    assert_int_equal(end(io), 0);
    /* Never answered: given up after some tries, when the controller was stopped. */
    model.mute = true;
    io = submit(disk, DISK_READ, 8, 1, one_page);
    io->then = is_stopped;
    assert_true(world_run_until(&io->done));
    assert_int_equal(io->error, XEN_ETIMEDOUT);
    io_free(io);
    model.mute = false;
    assert_int_equal(end(submit(disk, DISK_READ, 8, 1, one_page)), 0);
    finish();
}

static void test_fatal(void **state)
{
    (void)state;
    struct disk *disk = start();
    model.mute = true;
    struct io *io = submit(disk, DISK_WRITE, 8, 1, one_page),
              *other = submit(disk, DISK_READ, 80, 1, one_page);
    world_run(MS);
    model.fatal = true;
    world_run(1500 * MS);
    assert_int_equal(model.starts, 2);
    model.mute = false;
    assert_int_equal(end(io), 0);
    assert_int_equal(end(other), 0);
    assert_memory_equal(model.store + 8 * 512, pattern, 4096);
    finish();
}

/* What a controller says of itself after a reset changes nothing. */
static void test_changed_mind(void **state)
{
    (void)state;
    static const uint32_t gaps[2][2] = {{512, 1024}, {1024, 3072}};
    struct pci_function *f = nvme_model_reset();
    model.shift = 12;
    assert_true(nvme_driver.probe(f));
    model.says_sgl = false;
    model.mute = true;
    struct io *io = submit(world.disk[0], DISK_WRITE, 8, 2, gaps);
    world_run(MS);
    model.fatal = true;
    world_run(1500 * MS);
    model.mute = false;
    assert_int_equal(end(io), 0);
    assert_memory_equal(model.store + 4096, pattern, 4096);
    finish();
}

static void test_hopeless(void **state)
{
    (void)state;
    struct disk *disk = start();
    for (int how = 0; how < 2; how++) {
        model.mute = true;
        struct io *io = submit(disk, DISK_WRITE, 8, 1, one_page);
        world_run(MS);
        model.fatal = true;
        model.never_stops = how;
        model.never_starts = !how;
        assert_int_equal(end(io), XEN_EIO);
        assert_false(world.master);
        world_run(100 * MS);
        assert_int_equal(world.disks, 0);
        assert_int_equal(world.threads, 0);
        assert_int_equal(world.allocations, 0);
        world_end();
        if (!how)
            disk = start();
    }
    nvme_model_end();
}

/* Completions that name nothing, twice the same, the wrong queue. */
static void test_lies(void **state)
{
    (void)state;
    for (int lie = 0; lie < 4; lie++) {
        struct disk *disk = start();
        model.mute = true;
        struct io *io = submit(disk, DISK_READ, 8, 1, one_page);
        world_run(MS);
        uint32_t id = (uint32_t)nvme_model_held(1, 0);
        if (lie == 0)
            nvme_model_complete(1, 0, 1 << 16, 0xffff);
        else if (lie == 1)
            nvme_model_complete(1, 0, 1 << 16, id ^ 0x40);
        else if (lie == 2)
            nvme_model_complete(1, 0, 2 << 16, id);
        else
            nvme_model_complete(2, 0, 2 << 16, id);
        world_run(MS);
        assert_false(io->done);
        assert_true(world_said("it completed a command that it was not given"));
        model.mute = false;
        assert_int_equal(end(io), 0);
        assert_int_equal(model.starts, 2);
        finish();
    }
}

static void test_namespaces(void **state)
{
    (void)state;
    struct disk *disk = start();
    model.blocks[1] = 100;
    nvme_model_event(EVENT_TYPE_NOTICE);
    world_run(10 * MS);
    assert_int_equal(world.disks, 2);
    assert_int_equal(world.disk[1]->sectors, 100);
    model.blocks[0] = 2048;
    nvme_model_event(EVENT_TYPE_NOTICE);
    world_run(10 * MS);
    assert_int_equal(disk->sectors, 2048);
    assert_int_equal(world.resized, 1);
    /* One goes while it is open and in use. */
    struct disk *gone = world.disk[1];
    gone->users++;
    model.mute = true;
    struct io *io = submit(gone, DISK_READ, 8, 1, one_page);
    world_run(MS);
    model.blocks[1] = 0;
    nvme_model_event(EVENT_TYPE_NOTICE);
    world_run(10 * MS);
    assert_int_equal(world.disks, 2);
    model.mute = false;
    assert_int_equal(end(io), XEN_EIO);
    world_run(2000 * MS);
    assert_int_equal(world.disks, 1);
    assert_true(gone->removed);
    if (!--gone->users)
        gone->operations->closed(gone);
    finish();
}

static void test_left_alone(void **state)
{
    (void)state;
    struct pci_function *f = nvme_model_reset();
    model.metadata = 8;
    assert_true(nvme_driver.probe(f));
    assert_int_equal(world.disks, 0);
    assert_true(world_said("its blocks carry metadata"));
    f = nvme_model_reset();
    model.never_starts = true;
    assert_false(nvme_driver.probe(f));
    assert_true(world_said("it does not start"));
    assert_int_equal(world.pages, 0);
    assert_int_equal(world.allocations, 0);
    f = nvme_model_reset();
    model.mute_admin = true;
    assert_false(nvme_driver.probe(f));
    assert_false(world.master);
    assert_int_equal(world.pages, 0);
    f = nvme_model_reset();
    f->interface = 1;
    assert_false(nvme_driver.probe(f));
    world_end();
    nvme_model_end();
}

static void test_one_vector(void **state)
{
    (void)state;
    struct pci_function *f = nvme_model_reset();
    world.vectors = 1;
    assert_true(nvme_driver.probe(f));
    assert_int_equal(world.disk[0]->queues, 1);
    assert_int_equal(end(submit(world.disk[0], DISK_WRITE, 8, 1, one_page)), 0);
    assert_true(world.now < 1000 * MS);
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found),          cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_large_blocks),   cmocka_unit_test(test_flush_fua_discard),
        cmocka_unit_test(test_many),           cmocka_unit_test(test_errors),
        cmocka_unit_test(test_lost_interrupt), cmocka_unit_test(test_timeout),
        cmocka_unit_test(test_fatal),          cmocka_unit_test(test_changed_mind),
        cmocka_unit_test(test_hopeless),       cmocka_unit_test(test_lies),
        cmocka_unit_test(test_namespaces),     cmocka_unit_test(test_left_alone),
        cmocka_unit_test(test_one_vector),
    };
    return cmocka_run_group_tests(tests, fill_pattern, NULL);
}
