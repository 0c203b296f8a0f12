/*
 * An NVMe controller for drive_world.h, which checks what it is told against the specification and fails as
 * tests want it to.
 */
#ifndef TESTS_NVME_MODEL_H
#define TESTS_NVME_MODEL_H

#include <stdbool.h>
#include <stdint.h>
#include <drivers/pci.h>
#include "../../drivers/io/nvme_spec.h"

#define MODEL_NAMESPACES 3

struct nvme_model {
    /* what it is */
    uint64_t blocks[MODEL_NAMESPACES]; /* 0: no such namespace */
    uint32_t shift, metadata;
    unsigned queues;
    bool sgl, says_sgl, write_cache, write_protected;
    uint8_t mdts;

    /* how it fails */
    uint64_t fail_block; /* commands that touch it fail */
    uint16_t fail_status;
    unsigned fail_times;
    bool mute, mute_admin; /* commands are taken and not answered */
    bool abort_works, lose_interrupts, fatal, never_stops, never_starts;

    /* what it saw */
    unsigned starts, aborts, flushes, forced, discards, commands, most_at_once;
    bool enabled;   /* it may reach memory */
    uint8_t *store; /* of namespace 1 */
};
extern struct nvme_model model;

/* A good controller with one namespace of 4096 blocks, and the PCI function for it. */
struct pci_function *nvme_model_reset(void);
void nvme_model_end(void);
/* Writes a completion queue entry as it is, with the phase that the driver looks for. */
void nvme_model_complete(unsigned queue, uint32_t result, uint32_t sq, uint32_t status);
/* An asynchronous event, if the driver asked for it. */
void nvme_model_event(uint32_t result);
/* The id of a command that is held in the queue because the model is mute; -1: none. */
int nvme_model_held(unsigned queue, unsigned index);

#endif
