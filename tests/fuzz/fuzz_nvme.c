/* sources: drivers/io/nvme.c drivers/io/nvme_queue.c drivers/io/nvme_admin.c drivers/io/nvme_namespace.c drivers/io/drive.c tests/unit/drive_world.c tests/unit/nvme_model.c */
/*
 * An NVMe controller that says what the input says: completions near the truth, events, changes of its
 * namespaces, silence, failure. Every request ends once, none while the controller may still reach its memory
 * (which is freed then), and nothing is left when the controller is pulled out.
 */
#include "drive_input.h"
#include "../unit/nvme_model.h"
#include "../../drivers/io/drivers.h"
#include "../../drivers/io/nvme.h"

#define MOST_STEPS 120

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
    finish();
    nvme_model_end();
    return 0;
}
