/*
 * A machine for vPCI: functions that are bytes with masks of what can be written, one device's memory, host
 * vectors that are numbers. For tests of arch/x86_64/guest, which cannot go with fake.h: that brings its own
 * struct arch_domain.
 */
#ifndef FAKE_PCI_WORLD_H
#define FAKE_PCI_WORLD_H

#include "../../../arch/x86_64/guest/guest.h"
#include "../../../arch/x86_64/guest/hwirq.h"
#include "../../../arch/x86_64/guest/vpci.h"

#define WORLD_ECAM         0xb0000000u
#define WORLD_BUSES        2u
#define WORLD_UART         0x3f8u      /* ports of the console */
#define WORLD_RAM          0x40000000u /* 1 MiB of it */
#define WORLD_DEVICE_SIZE  0x4000u
#define WORLD_APIC_ID      3u /* where interrupts are aimed at first */
#define WORLD_FIRST_VECTOR 0x30u

struct fake_function {
    uint8_t bus, device, function;
    bool present;
    uint8_t config[4096], writable[4096];
};

extern struct domain world_domain;
extern struct vcpu world_vcpu;
extern uint8_t world_device[WORLD_DEVICE_SIZE]; /* memory of the one device that has any, from ... */
extern uint64_t world_device_at;                /* ... here on */
extern bool world_anywhere;     /* that memory is everywhere, and every address is an interrupt message's */
extern unsigned world_vectors;  /* left to bind */
extern unsigned world_bound;    /* how many are */
extern struct hwirq *world_irq; /* bound last */
extern unsigned world_removed;  /* pages taken out of the map */
extern unsigned world_flushed;  /* how many of them had been by the last flush */

void pci_world_begin(void);
/* Every function is forgotten; nothing may stay bound or allocated. */
void pci_world_end(void);
/* A function with an id and nothing else. */
struct fake_function *fake_function(unsigned bus, unsigned device, unsigned function);
void fake_set(struct fake_function *f, unsigned offset, unsigned size, uint32_t value);
uint32_t fake_get(const struct fake_function *f, unsigned offset, unsigned size);
void fake_set_writable(struct fake_function *f, unsigned offset, unsigned size, uint32_t bits);
/* The next capability of its list: at offset, leading on to next. */
void fake_capability(struct fake_function *f, unsigned offset, uint8_t id, uint8_t next);
/* All that is bound goes to another CPU. */
void world_move(uint32_t apic_id);
/* All of it that can be is masked for a storm, or no longer. */
void world_storm(bool storms);

#endif
