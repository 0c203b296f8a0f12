/*
 * The local APIC (Intel SDM volume 3, chapter "APIC"), and application processors.
 *
 * x2APIC mode where CPUID offers it, else the MMIO page. Registers are named by their number (lib/apic.h).
 */
#ifndef PVH_APIC_H
#define PVH_APIC_H

#include <stdbool.h>
#include <stdint.h>
#include <lib/apic.h>

/* Switches this CPU's APIC on, in x2APIC mode if there is one. Safe to call again. */
void apic_init(void);
bool apic_is_x2apic(void);
/* As apic_init() but stays with the MMIO page: for tests of that. Before anything else touched the APIC. */
void apic_init_mmio(void);

uint32_t apic_read(unsigned number);
void apic_write(unsigned number, uint32_t value);
uint32_t apic_id(void);
void apic_eoi(void);
/* mode: APIC_LVT_ONE_SHOT or _PERIODIC; count in bus clocks (divide by 1). */
void apic_timer(unsigned vector, uint32_t mode, uint32_t count);
void apic_timer_stop(void);
/* Fixed interrupt to another CPU. destination: APIC id. */
void apic_ipi(uint32_t destination, unsigned vector);
/* The command register as it stands in x2APIC mode: high half destination, low half command. */
void apic_icr(uint64_t command);

/* APIC ids of the MADT's usable CPUs, ours among them. Returns how many there are, writes at most max. */
unsigned cpu_apic_ids(uint32_t *ids, unsigned max);

#define SMP_MAX_CPUS 64
/*
 * Starts the CPU with that APIC id by INIT-SIPI-SIPI; it runs fn(arg) with interrupts off, its APIC on and a
 * stack of 16 KiB, and halts for good when fn returns. True when it came up within a second.
 */
bool smp_start(uint32_t apic_id_of_cpu, void (*fn)(void *arg), void *arg);

#endif
