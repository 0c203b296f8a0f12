/* sources: drivers/io/nvme.c drivers/io/nvme_queue.c drivers/io/nvme_admin.c drivers/io/nvme_namespace.c drivers/io/drive.c tests/unit/drive_world.c tests/unit/nvme_model.c */
/*
 * An NVMe controller that says what the input says: completions near the truth, events, changes of its
 * namespaces, silence, failure. Every request ends once, none while the controller may still reach its memory
 * (which is freed then), and nothing is left when the controller is pulled out.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include "../unit/drive_world.h"
#include "../unit/nvme_model.h"
#include "../../drivers/io/drivers.h"
#include "../../drivers/io/nvme.h"

#define MOST_STEPS 120
#define REQUESTS   200

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
    io->request.queue = byte();
    io->then = ended;
    requests[slot] = io;
    io_submit(disk, io);
}

static void lie(void)
{
    unsigned queue = byte() % 5;
    int held = nvme_model_held(queue, byte() % 4);
    uint32_t status = held >= 0 && byte() & 7 ? (uint32_t)held : word() & 0xffff;
    if (byte() & 1)
        status ^= 1u << byte() % 16;
    if (byte() & 1)
        status |= (uint32_t)(byte() | byte() << 8) << 17;
    nvme_model_complete(queue, word(), (byte() & 7 ? queue : byte()) << 16 | byte(), status);
}

static void step(void)
{
    static const uint64_t times[] = {0, 1, 10, 900, 1100, 31000};
    switch (byte() % 12) {
    case 0:
    case 1:
    case 2:
    case 3:
        submit();
        break;
    case 4:
    case 5:
        lie();
        break;
    case 6:
        model.mute = byte() & 1;
        break;
    case 7:
        nvme_model_event(byte() & 1 ? EVENT_TYPE_NOTICE : word());
        break;
    case 8:
        model.blocks[byte() % MODEL_NAMESPACES] = byte() & 3 ? 512u * (byte() % 8) : 0;
        break;
    case 9:
        model.fail_block = byte() * 8u;
        model.fail_times = byte();
        model.fail_status = (uint16_t)(word() | 1);
        break;
    case 10:
        model.fatal = !(byte() & 15);
        model.lose_interrupts = byte() & 1;
        model.abort_works = byte() & 1;
        model.mute_admin = !(byte() & 31);
        model.says_sgl = byte() & 1;
        break;
    default:
        world_run(times[byte() % 6] * MS);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input = data;
    left = size;
    struct pci_function *f = nvme_model_reset();
    model.sgl = model.says_sgl = byte() & 1;
    model.shift = byte() & 1 ? 12 : 9;
    model.queues = 1 + byte() % 4;
    world.vectors = 1 + byte() % 6;
    nvme_driver.probe(f);
    for (unsigned i = 0; i < MOST_STEPS && left; i++)
        step();
    world.pulled_out = true;
    if (f->driver_data)
        nvme_wake(f->driver_data, NULL);
    world_run(60000 * MS);
    for (unsigned i = 0; i < REQUESTS && requests[i]; i++) {
        assert(requests[i]->done);
        io_free(requests[i]);
        requests[i] = NULL;
    }
    assert(!world.threads && !world.pages && !world.allocations && !world.disks);
    world_end();
    nvme_model_end();
    return 0;
}
