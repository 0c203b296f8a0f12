/* sources: drivers/io/ahci.c drivers/io/ahci_link.c drivers/io/ahci_port.c drivers/io/ahci_request.c drivers/io/ahci_drive.c drivers/io/drive.c tests/unit/drive_world.c tests/unit/ahci_model.c */
/*
 * An AHCI controller whose registers and memory change as the input says, with drives that fail, fall silent,
 * come and go. Every request ends once, none while the controller may still reach its memory (which is freed
 * then), and nothing is left when the controller is given up.
 */
#include "drive_input.h"
#include "../unit/ahci_model.h"
#include "../../drivers/io/ahci.h"
#include "../../drivers/io/drivers.h"

#define MOST_STEPS 120

static void change_register(unsigned port)
{
    static const uint8_t offsets[] = {PORT_TFD,  PORT_SIG, PORT_SSTS, PORT_SERR,
                                      PORT_SACT, PORT_CI,  PORT_SACT, PORT_CI};
    ahci_model_set(port, offsets[byte() % sizeof offsets], byte() & 1 ? word() : 1u << byte() % 32);
}

static void step(void)
{
    static const uint64_t times[] = {0, 1, 10, 900, 1100, 31000};
    unsigned port = byte() & 1 ? 2 : 0;
    struct model_drive *drive = &ahci.drive[port];
    switch (byte() % 13) {
    case 0:
    case 1:
    case 2:
    case 3:
        submit();
        break;
    case 4:
        change_register(port);
        break;
    case 5:
        ahci_model_raise(port, byte() & 1 ? word() & ~IS_CHANGES : 1u << byte() % 32);
        break;
    case 6:
        ahci_model_scribble(port, byte() % 32, byte() & 1 ? word() : 4096);
        break;
    case 7:
        drive->mute = byte() & 1;
        drive->dead = !(byte() & 31);
        drive->short_read = !(byte() & 7);
        drive->log = byte() & 1;
        break;
    case 8:
        if (!(byte() & 3)) {
            drive->serial = (char)('A' + byte() % 3);
            ahci_model_plug(port, byte() & 1);
        }
        break;
    case 9:
        drive->fail_sector = byte() * 8u;
        drive->fail_times = byte();
        break;
    case 10:
        ahci.lose_interrupts = byte() & 1;
        drive->engine_hangs = !(byte() & 15);
        ahci.cannot_reset = !(byte() & 31);
        break;
    default:
        world_run(times[byte() % 6] * MS);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input = data;
    left = size;
    struct pci_function *f = ahci_model_reset();
    for (unsigned i = 0; i < MODEL_PORTS; i += 2) {
        ahci.drive[i].present = i == 0 || byte() & 1;
        ahci.drive[i].shift = byte() & 1 ? 12 : 9;
        ahci.drive[i].queue_depth = byte() & 1 ? byte() % 33 : 0;
        ahci.drive[i].fua = byte() & 1;
    }
    ahci_driver.probe(f);
    for (unsigned i = 0; i < MOST_STEPS && left; i++)
        step();
    world.pulled_out = true;
    if (f->driver_data)
        ahci_give_up(f->driver_data, "the test is over");
    world_run(120000 * MS);
    finish();
    ahci_model_end();
    return 0;
}
