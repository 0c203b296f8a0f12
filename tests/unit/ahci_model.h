/*
 * An AHCI controller with drives for drive_world.h, which checks what it is told against the specification
 * and fails as tests want it to.
 */
#ifndef TESTS_AHCI_MODEL_H
#define TESTS_AHCI_MODEL_H

#include <stdbool.h>
#include <stdint.h>
#include <drivers/pci.h>
#include "../../drivers/io/ahci_spec.h"

#define MODEL_PORTS 3 /* of which the second is not implemented */

struct model_drive {
    bool present;
    uint32_t signature;
    unsigned shift;
    uint64_t sectors;     /* of the drive's own size */
    unsigned queue_depth; /* 0: no queue */
    bool fua, trim, log, stand_by;
    char serial;
    uint8_t *store;

    /* how it fails */
    uint64_t fail_sector;
    unsigned fail_times;
    bool mute;         /* commands are taken and not answered, but for IDENTIFY */
    bool dead;         /* nothing is answered */
    bool engine_hangs; /* CR stays on until the controller is reset */
    bool short_read;   /* moves fewer bytes than were asked for */

    /* what it saw */
    unsigned commands, queued, alone, flushes, forced, trims, resets, most_at_once;
    uint32_t held; /* slots that are not answered */
};

struct ahci_model {
    struct model_drive drive[MODEL_PORTS];
    bool cannot_reset, lose_interrupts, firmware;
    unsigned resets;
};
extern struct ahci_model ahci;

/* A good controller with one drive of 4096 sectors at its first port, and the PCI function for it. */
struct pci_function *ahci_model_reset(void);
void ahci_model_end(void);
/* A drive is pulled out of a port, or put there. */
void ahci_model_plug(unsigned port, bool present);
/* Sets bits of a port's PORT_IS. */
void ahci_model_raise(unsigned port, uint32_t bits);
/* A port's register has another value, in bits that only the device may change. */
void ahci_model_set(unsigned port, uint32_t offset, uint32_t value);
/* Changes what the controller wrote to memory for a slot. */
void ahci_model_scribble(unsigned port, unsigned slot, uint32_t value);

#endif
