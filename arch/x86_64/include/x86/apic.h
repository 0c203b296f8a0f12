/* The CPU's local APIC, in x2APIC mode where there is one (SDM vol. 3, chapter 11). */
#ifndef X86_APIC_H
#define X86_APIC_H

#include <hv/types.h>

struct cpu;

void apic_init(void);     /* boot CPU: chooses the mode, maps the registers */
void apic_cpu_init(void); /* each CPU */
uint32_t apic_id(void);
void apic_eoi(void);
void apic_send_ipi(const struct cpu *to, uint8_t vector);
void apic_send_nmi(const struct cpu *to);
/*
 * The two steps of starting a CPU by its APIC id (SDM vol. 3, 9.4.4): it begins in real mode at page << 12.
 */
void apic_send_init(uint32_t id);
void apic_send_startup(uint32_t id, uint8_t page);

/* TSC value at which this CPU's one-shot fires; 0 switches it off. It may fire early when that is far off. */
void apic_timer_set(uint64_t tsc);
void apic_timer_cpu_init(void);
/* For calibration: counts down once and interrupts; what is left of the count; how many ticks were how many
 * TSC ticks. */
void apic_timer_start_count(uint32_t count);
uint32_t apic_timer_count(void);
void apic_timer_use(uint64_t ticks, uint64_t tsc_ticks);

/* MSI address and data for a vector on this CPU: 8-bit destination ids only. */
#define MSI_ADDRESS(apic_id) (0xfee00000u | (uint32_t)(apic_id) << 12)

#endif
