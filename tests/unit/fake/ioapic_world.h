/*
 * A machine with an IO-APIC (82093AA) of 24 pins below the real driver, emulation and delivery, and three
 * vCPUs whose local APICs only count what reaches them.
 */
#ifndef IOAPIC_WORLD_H
#define IOAPIC_WORLD_H

#include "../../../arch/x86_64/guest/guest.h"

#define PINS         24u
#define VCPUS        3u
#define BASE         0xfec00000ull
#define KEPT         4u /* the pin that the hypervisor uses */
#define ENTRY_LEVEL  0x8000u
#define ENTRY_MASKED 0x10000u

struct chip {
    uint64_t entry[PINS];
    bool line[PINS], remote[PINS];
    uint32_t index;
    int in_service; /* vector, -1: none */
    unsigned interrupts;
    char registers[PAGE_SIZE];
};
extern struct chip chip;
/* Levels that may interrupt do so, at most that many times. Returns how often. */
unsigned chip_settle(unsigned most);
void chip_edge(unsigned pin);
/* A message with that vector arrives. */
void chip_dispatch(uint8_t vector);

extern struct domain world_domain;
extern struct vcpu world_vcpus[VCPUS];
extern struct arch_cpu world_cpus[2];
extern unsigned got[VCPUS][256], got_levels; /* what reached the local APICs */
extern ns_t world_now;
extern struct timer *world_armed;
extern unsigned world_told; /* messages */
extern void (*world_dump)(void);

int world_boot(void **state);
int world_halt(void **state);
void world_expire(void); /* the timer that is armed */

#endif
